// The filter chain by itself: scripted filters in front of a recording owner.
#include "gateway/filter_chain.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "net/worker.h"

namespace heddle::gateway {
namespace {

using extension::DataAction;
using extension::HeadersAction;
using extension::TrailersAction;

// What a scripted filter does; each callback is also recorded as "name:callback(size,end)".
struct Script {
  std::string name = {};
  std::function<HeadersAction(extension::FilterHost&, http::HeaderMap&, bool)> request_headers = {};
  std::function<DataAction(extension::FilterHost&, http::Buffer&, bool)> request_data = {};
  std::function<TrailersAction(extension::FilterHost&)> request_trailers = {};
  std::function<HeadersAction(extension::FilterHost&, http::HeaderMap&, bool)> response_headers =
      {};
  std::function<DataAction(extension::FilterHost&, http::Buffer&, bool)> response_data = {};
  std::size_t buffer_limit = 100;
  std::vector<std::string>* events = nullptr;
  extension::FilterHost* host = nullptr;  // of the last filter made
};

std::string show(const char* what, std::size_t size, bool end) {
  return std::string(what) + "(" + std::to_string(size) + "," + (end ? "1" : "0") + ")";
}

class ScriptedFilter final : public extension::HttpFilter {
 public:
  ScriptedFilter(Script& script, extension::FilterHost& host)
      : script_(script), name_(script.name), events_(script.events), host_(host) {}
  ~ScriptedFilter() override { note("gone"); }

  HeadersAction on_request_headers(http::HeaderMap& headers, bool end) override {
    note(show("request_headers", headers.size(), end));
    return script_.request_headers ? script_.request_headers(host_, headers, end)
                                   : HeadersAction::kContinue;
  }
  DataAction on_request_data(http::Buffer& data, bool end) override {
    note(show("request_data", data.size(), end));
    return script_.request_data ? script_.request_data(host_, data, end) : DataAction::kContinue;
  }
  TrailersAction on_request_trailers(http::HeaderMap& /*trailers*/) override {
    note("request_trailers");
    return script_.request_trailers ? script_.request_trailers(host_) : TrailersAction::kContinue;
  }
  HeadersAction on_response_headers(http::HeaderMap& headers, bool end) override {
    note(show("response_headers", headers.size(), end));
    return script_.response_headers ? script_.response_headers(host_, headers, end)
                                    : HeadersAction::kContinue;
  }
  DataAction on_response_data(http::Buffer& data, bool end) override {
    note(show("response_data", data.size(), end));
    return script_.response_data ? script_.response_data(host_, data, end) : DataAction::kContinue;
  }
  TrailersAction on_response_trailers(http::HeaderMap& /*trailers*/) override {
    note("response_trailers");
    return TrailersAction::kContinue;
  }
  void on_log() override { note("log"); }

 private:
  void note(const std::string& what) { events_->push_back(name_ + ":" + what); }
  Script& script_;  // gone before the filter when a test ends
  std::string name_;
  std::vector<std::string>* events_;
  extension::FilterHost& host_;
};

class ScriptedFactory final : public extension::HttpFilterFactory {
 public:
  explicit ScriptedFactory(Script& script) : script_(script) {}
  const std::string& name() const override { return script_.name; }
  extension::FilterInterest interest() const override {
    return {true, true, true, true, true, true, true};
  }
  std::size_t buffer_limit() const override { return script_.buffer_limit; }
  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost& host) override {
    script_.host = &host;
    return std::make_unique<ScriptedFilter>(script_, host);
  }

 private:
  Script& script_;
};

extension::LocalReply status_only(int status) {
  extension::LocalReply reply;
  reply.status = status;
  return reply;
}

class ChainTest : public testing::Test, public FilterChain::Owner {
 protected:
  void use(const std::vector<Script*>& scripts) {
    for (Script* script : scripts) {
      script->events = &events_;
      auto factory = std::make_shared<ScriptedFactory>(*script);
      entries_.push_back({factory, factory->interest(), script->buffer_limit,
                          std::make_shared<std::atomic<bool>>(false)});
    }
    chain_.begin(entries_);
  }
  void request(bool end = false) {
    chain_.set_head(Side::kRequest, head(3));
    const net::Worker::Scope scope(worker_);
    chain_.headers(Side::kRequest, end);
  }
  void response(bool end = false) {
    chain_.set_head(Side::kResponse, head(2));
    const net::Worker::Scope scope(worker_);
    chain_.headers(Side::kResponse, end);
  }
  void data(Side side, std::string_view bytes, bool end) {
    http::Buffer buffer;
    buffer.append(bytes);
    const net::Worker::Scope scope(worker_);
    chain_.data(side, buffer, end);
  }
  void later(const std::function<void()>& action) {
    const net::Worker::Scope scope(worker_);
    action();
  }
  static http::HeadPtr head(int headers) {
    http::HeadPtr out = http::make_head();
    for (int i = 0; i < headers; ++i) out->headers.add("h" + std::to_string(i), "v");
    return out;
  }
  // Events since the last call, in one line.
  std::string seen() {
    std::string out;
    for (const std::string& event : events_) out += (out.empty() ? "" : " ") + event;
    events_.clear();
    return out;
  }

  net::Worker& worker() override { return worker_; }
  const extension::ExchangeInfo& info() const override { return info_; }
  void chain_headers(Side side, bool end) override {
    events_.push_back(std::string(side == Side::kRequest ? "->headers" : "<-headers") +
                      (end ? "!" : ""));
  }
  void chain_data(Side side, http::Buffer& data, bool end) override {
    events_.push_back((side == Side::kRequest ? "->" : "<-") + std::string("'") + data.to_string() +
                      "'" + (end ? "!" : ""));
  }
  void chain_trailers(Side side) override {
    events_.emplace_back(side == Side::kRequest ? "->trailers" : "<-trailers");
  }
  void chain_pause(Side side) override {
    events_.emplace_back(side == Side::kRequest ? "pause-request" : "pause-response");
  }
  void chain_resume(Side side) override {
    events_.emplace_back(side == Side::kRequest ? "resume-request" : "resume-response");
  }
  void chain_overflow(Side side, const std::string& plugin) override {
    events_.push_back(std::string(side == Side::kRequest ? "413:" : "502:") + plugin);
  }
  void chain_local_reply(extension::LocalReply reply, const std::string& plugin) override {
    events_.push_back("reply" + std::to_string(reply.status) + ":" + plugin);
    chain_.restart_response();
    chain_.set_head(Side::kResponse, head(1));
    chain_.headers(Side::kResponse, true);
  }
  void chain_reset(const std::string& plugin) override {
    events_.push_back("reset:" + plugin);
    chain_.stop();
  }
  void chain_keep_route(std::uint32_t /*changes*/) override {}
  void chain_clear_route() override { events_.emplace_back("clear-route"); }
  void retain() override {}
  void release() override {}

  std::unique_ptr<Log> log_ = Log::null();
  net::Worker worker_{0, *log_};
  extension::ExchangeInfo info_;
  std::vector<std::string> events_;
  std::vector<ChainEntry> entries_;
  FilterChain chain_{*this};
};

TEST_F(ChainTest, RequestGoesDownAndResponseUp) {
  Script a{.name = "a"};
  Script b{.name = "b"};
  use({&a, &b});
  request(true);
  EXPECT_EQ(seen(), "a:request_headers(3,1) b:request_headers(3,1) ->headers!");
  response();
  EXPECT_EQ(seen(), "b:response_headers(2,0) a:response_headers(2,0) <-headers");
  data(Side::kResponse, "xy", false);
  EXPECT_EQ(seen(), "b:response_data(2,0) a:response_data(2,0) <-'xy'");
  data(Side::kResponse, "", true);
  EXPECT_EQ(seen(), "b:response_data(0,1) a:response_data(0,1) <-''!");
  chain_.stop();
  chain_.log();
  chain_.clear();
  EXPECT_EQ(seen(), "a:log b:log a:gone b:gone");
}

TEST_F(ChainTest, PausedHeadersHoldTheBodyUnseenAndGiveItInOneCall) {
  Script a{.name = "a"};
  Script b{.name = "b"};
  a.request_headers = [](auto&, auto&, bool) { return HeadersAction::kStopAllWatermark; };
  use({&a, &b});
  request();
  data(Side::kRequest, "abc", false);
  data(Side::kRequest, "de", true);
  EXPECT_EQ(seen(), "a:request_headers(3,0)");
  EXPECT_EQ(*chain_.paused_by(), "a");
  later([&] { a.host->continue_request(); });
  EXPECT_EQ(seen(),
            "b:request_headers(3,0) ->headers a:request_data(5,1) b:request_data(5,1) ->'abcde'!");
  EXPECT_EQ(chain_.paused_by(), nullptr);
}

TEST_F(ChainTest, StoppedHeadersAloneLetTheBodyCallbackDecide) {
  Script a{.name = "a"};
  a.request_headers = [](auto&, auto&, bool) { return HeadersAction::kStop; };
  a.request_data = [](auto&, auto&, bool end) {
    return end ? DataAction::kContinue : DataAction::kBuffer;
  };
  use({&a});
  request();
  data(Side::kRequest, "ab", false);
  data(Side::kRequest, "c", false);
  EXPECT_EQ(seen(), "a:request_headers(3,0) a:request_data(2,0) a:request_data(3,0)");
  data(Side::kRequest, "", true);
  EXPECT_EQ(seen(), "a:request_data(3,1) ->headers ->'abc'!");
}

TEST_F(ChainTest, BufferedBodyKeepsWhatTheFilterChanged) {
  Script a{.name = "a"};
  a.request_data = [](auto&, http::Buffer& data, bool end) {
    data.prepend("p.");
    return end ? DataAction::kContinue : DataAction::kBuffer;
  };
  use({&a});
  request();
  data(Side::kRequest, "x", false);
  data(Side::kRequest, "y", true);
  EXPECT_EQ(seen(),
            "a:request_headers(3,0) ->headers a:request_data(1,0) a:request_data(4,1) ->'p.p.xy'!");
}

TEST_F(ChainTest, ContinueOfAPausedBodySendsWhatIsHeldWithoutAskingAgain) {
  Script a{.name = "a"};
  a.request_data = [](auto&, auto&, bool) { return DataAction::kBuffer; };
  use({&a});
  request();
  data(Side::kRequest, "ab", true);
  seen();
  later([&] { a.host->continue_request(); });
  EXPECT_EQ(seen(), "->'ab'!");
}

TEST_F(ChainTest, TooMuchHeldIsAnOverflowOrBackPressure) {
  Script a{.name = "a", .buffer_limit = 3};
  a.request_data = [](auto&, auto&, bool) { return DataAction::kBuffer; };
  Script b{.name = "b", .buffer_limit = 3};
  b.response_headers = [](auto&, auto&, bool) { return HeadersAction::kStopAllWatermark; };
  use({&a, &b});
  request();
  data(Side::kRequest, "abc", false);
  seen();
  data(Side::kRequest, "d", false);
  EXPECT_EQ(seen(), "a:request_data(4,0) 413:a");
  response();
  data(Side::kResponse, "abcd", false);
  data(Side::kResponse, "e", false);
  EXPECT_EQ(seen(), "b:response_headers(2,0) pause-response");
  later([&] { b.host->continue_response(); });
  EXPECT_EQ(seen(),
            "resume-response a:response_headers(2,0) <-headers b:response_data(5,0) "
            "a:response_data(5,0) <-'abcde'");
}

TEST_F(ChainTest, LocalReplyRunsThroughTheFiltersAlreadyPassed) {
  Script a{.name = "a"};
  Script b{.name = "b"};
  Script c{.name = "c"};
  b.request_headers = [](extension::FilterHost& host, auto&, bool) {
    host.send_local_reply(status_only(401));
    return HeadersAction::kContinue;  // the answer counts, whatever is returned
  };
  use({&a, &b, &c});
  request(true);
  EXPECT_EQ(seen(),
            "a:request_headers(3,1) b:request_headers(3,1) reply401:b b:response_headers(1,1) "
            "a:response_headers(1,1) <-headers!");
}

TEST_F(ChainTest, LocalReplyInTheResponseSkipsWhoSawTheFirstOne) {
  Script a{.name = "a"};
  Script b{.name = "b"};
  b.response_headers = [](extension::FilterHost& host, auto&, bool) {
    host.send_local_reply(status_only(502));
    return HeadersAction::kStopAllWatermark;
  };
  use({&a, &b});
  request(true);
  response(true);
  EXPECT_EQ(
      seen(),
      "a:request_headers(3,1) b:request_headers(3,1) ->headers! b:response_headers(2,1) reply502:b "
      "a:response_headers(1,1) <-headers!");
}

TEST_F(ChainTest, TrailersMadeInTheLastBodyCallbackFollowTheBody) {
  Script a{.name = "a"};
  Script b{.name = "b"};
  a.request_data = [](extension::FilterHost& host, auto&, bool end) {
    if (end) host.create_request_trailers()->add("t", "1");
    return DataAction::kContinue;
  };
  use({&a, &b});
  request();
  data(Side::kRequest, "x", true);
  EXPECT_EQ(seen(),
            "a:request_headers(3,0) b:request_headers(3,0) ->headers a:request_data(1,1) "
            "b:request_data(1,0) "
            "->'x' b:request_trailers ->trailers");
}

TEST_F(ChainTest, TrailersWaitBehindAStoppedBody) {
  Script a{.name = "a"};
  a.request_data = [](auto&, auto&, bool) { return DataAction::kBuffer; };
  use({&a});
  request();
  data(Side::kRequest, "x", false);
  seen();
  later([&] { chain_.trailers(Side::kRequest, head(1)); });
  EXPECT_EQ(seen(), "a:request_trailers ->'x' ->trailers");
}

TEST_F(ChainTest, ResetStopsEverything) {
  Script a{.name = "a"};
  a.request_headers = [](extension::FilterHost& host, auto&, bool) {
    host.reset_stream();
    return HeadersAction::kContinue;
  };
  use({&a});
  request(true);
  EXPECT_EQ(seen(), "a:request_headers(3,1) reset:a");
}

TEST_F(ChainTest, DeferredWorkOfAnEndedExchangeDoesNothing) {
  Script a{.name = "a"};
  a.request_headers = [](auto&, auto&, bool) { return HeadersAction::kStopAllWatermark; };
  use({&a});
  request(true);
  seen();
  later([&] {
    a.host->continue_request();
    chain_.stop();
    chain_.clear();
  });
  EXPECT_EQ(seen(), "a:gone");
}

}  // namespace
}  // namespace heddle::gateway
