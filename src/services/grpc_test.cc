// gRPC: statuses, frames, and every way in which a call can end.
#include <gtest/gtest.h>

#include <future>
#include <string>
#include <vector>

#include "base/log.h"
#include "net/worker.h"
#include "services/grpc_call.h"

namespace heddle::services {
namespace {

using namespace std::string_literals;
using http::StreamError;

TEST(GrpcStatus, HttpStatuses) {
  const std::vector<std::pair<int, std::uint32_t>> expected = {
      {400, 13}, {401, 16}, {403, 7},  {404, 12}, {429, 14}, {500, 2},
      {502, 14}, {503, 14}, {504, 14}, {418, 2},  {0, 2}};
  for (const auto& [http_status, code] : expected) {
    EXPECT_EQ(static_cast<std::uint32_t>(grpc_code_of_http(http_status)), code) << http_status;
  }
}

TEST(GrpcStatus, OfHeaders) {
  const auto parse = [](std::string_view code, std::string_view message) {
    Arena arena;
    http::HeaderMap headers(arena);
    headers.add("grpc-status", code);
    headers.add("grpc-message", message);
    return *grpc_status_of(headers);
  };
  EXPECT_EQ(parse("0", "").code, GrpcCode::kOk);
  EXPECT_EQ(parse("16", "").code, GrpcCode::kUnauthenticated);
  for (const std::string_view odd : {"17", "-1", "99999999999999", "", "1x", " 1", "ok"}) {
    EXPECT_EQ(parse(odd, "").code, GrpcCode::kUnknown) << odd;
  }
  EXPECT_EQ(parse("5", "caf%C3%A9 100%25").message, "caf\xc3\xa9 100%");
  EXPECT_EQ(percent_decode("%4"), "%4");
  EXPECT_EQ(percent_decode("%"), "%");
  EXPECT_EQ(percent_decode("%zz%4z%41"), "%zz%4zA");
  EXPECT_EQ(percent_decode("%00"), "\0"s);
  Arena arena;
  EXPECT_FALSE(grpc_status_of(http::HeaderMap(arena)).has_value());
}

TEST(GrpcStatus, Timeouts) {
  EXPECT_EQ(grpc_timeout(std::chrono::milliseconds(1)), "1m");
  EXPECT_EQ(grpc_timeout(std::chrono::milliseconds(99'999'999)), "99999999m");
  EXPECT_EQ(grpc_timeout(std::chrono::milliseconds(100'000'000)), "100000S");
  EXPECT_EQ(grpc_timeout(std::chrono::milliseconds(UINT32_MAX)), "4294967S");
}

http::Buffer buffer_of(std::string_view bytes) {
  http::Buffer out;
  out.append(bytes);
  return out;
}

TEST(GrpcFrames, InAnyPieces) {
  http::Buffer framed;
  append_grpc_message(framed, "one");
  append_grpc_message(framed, "");
  append_grpc_message(framed, std::string(70'000, 'x'));
  const std::string bytes = framed.to_string();
  EXPECT_EQ(bytes.substr(0, 8), "\0\0\0\0\3one"s);
  for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, std::size_t{100'000}}) {
    GrpcReader reader(70'000);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      reader.feed(buffer_of(std::string_view(bytes).substr(at, piece)));
      http::Buffer message;
      while (reader.next(message) == GrpcReader::State::kMessage) {
        messages.push_back(message.to_string());
      }
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"one", "", std::string(70'000, 'x')}));
    EXPECT_FALSE(reader.incomplete());
  }
}

TEST(GrpcFrames, Refused) {
  http::Buffer out;
  GrpcReader compressed(10);
  compressed.feed(buffer_of("\1\0\0\0\1x"s));
  EXPECT_EQ(compressed.next(out), GrpcReader::State::kCompressed);
  GrpcReader large(10);
  large.feed(buffer_of("\0\0\0\0\13"s));
  EXPECT_EQ(large.next(out), GrpcReader::State::kTooLarge) << "before its bytes have come";
  GrpcReader huge(10);
  huge.feed(buffer_of("\0\xff\xff\xff\xff"s));
  EXPECT_EQ(huge.next(out), GrpcReader::State::kTooLarge);
}

// Writes down what is sent.
class FakeSender final : public http::Sender {
 public:
  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_head(const http::HeaderMap& headers, bool /*end*/) override {
    for (const auto& [name, value] : headers) {
      head += std::string(name) + "=" + std::string(value) + "\n";
    }
  }
  void send_data(http::Buffer&& data, bool end) override {
    body += data.to_string();
    ended |= end;
  }
  void send_trailers(const http::HeaderMap& /*trailers*/) override { ended = true; }
  void reset(StreamError /*error*/) override { ++resets; }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return full; }
  std::uint64_t bytes_sent() const override { return 0; }
  std::uint64_t bytes_received() const override { return 0; }

  std::string head;
  std::string body;
  bool ended = false;
  bool full = false;
  int resets = 0;
};

class GrpcCallTest : public testing::Test, public GrpcEvents {
 protected:
  void begin(const GrpcRequest& request = {.authority = "host", .path = "/s/m", .metadata = {}}) {
    call = std::make_shared<GrpcCall>(
        worker, GrpcCall::Limits{.max_message = 100, .max_queued = 50}, *this);
    call->start(sender, request);
  }
  static http::HeadPtr head(
      std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
    http::HeadPtr out = http::make_head();
    for (const auto& [name, value] : list) out->headers.add(name, value);
    return out;
  }
  void data(std::string_view bytes, bool end = false) {
    const net::Worker::Scope scope(worker);
    http::Buffer buffer = buffer_of(bytes);
    call->on_data(buffer, end);
  }
  template <typename Event>
  void in_event(Event event) {
    const net::Worker::Scope scope(worker);
    const auto alive = call;
    event(*alive);
  }
  void on_initial_metadata(http::HeadPtr metadata) override {
    log += "initial(" + std::to_string(metadata->headers.size()) + ") ";
    if (cancel_at == "initial") call->cancel();
  }
  void on_message(http::Buffer message) override {
    log += "message(" + message.to_string() + ") ";
    if (cancel_at == "message") call->cancel();
  }
  void on_close(http::HeadPtr trailers, GrpcStatus status) override {
    log += trailers != nullptr ? "trailers(" + std::to_string(trailers->headers.size()) + ") " : "";
    log += "close(" + std::to_string(static_cast<std::uint32_t>(status.code)) + " " +
           status.message + ")";
    call.reset();
  }

  std::unique_ptr<Log> log_ = Log::null();
  net::Worker worker{0, *log_};
  FakeSender sender;
  std::shared_ptr<GrpcCall> call;
  std::string log;
  std::string cancel_at;
};

TEST_F(GrpcCallTest, AWholeStream) {
  begin({.authority = "host",
         .path = "/s/m",
         .metadata = {{"x-key", "value"}},
         .timeout = std::chrono::seconds(2)});
  EXPECT_EQ(sender.head,
            ":method=POST\n:scheme=http\n:path=/s/m\n:authority=host\nte=trailers\n"
            "content-type=application/grpc\ngrpc-timeout=2000m\nx-key=value\n");
  EXPECT_TRUE(call->send("ab", false));
  EXPECT_EQ(sender.body, "\0\0\0\0\2ab"s);
  call->end();
  call->end();
  EXPECT_TRUE(sender.ended);
  EXPECT_FALSE(call->send("late", false));
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}, {"a", "b"}}), false); });
  data("\0\0\0\0\1x\0\0\0\0\1y"s);
  in_event([&](GrpcCall& each) {
    each.on_trailers(head({{"grpc-status", "0"}, {"t", "u"}}));
    EXPECT_EQ(log, "initial(2) message(x) message(y) ") << "the stream completes first";
    each.on_complete();
  });
  EXPECT_EQ(log, "initial(2) message(x) message(y) trailers(2) close(0 )");
  EXPECT_EQ(sender.resets, 0);
}

TEST_F(GrpcCallTest, AnUpstreamThatEndsFirstIsResetAfterwards) {
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
  in_event([&](GrpcCall& each) {
    each.on_trailers(head({{"grpc-status", "7"}, {"grpc-message", "no%21"}}));
  });
  EXPECT_EQ(log, "initial(1) trailers(2) close(7 no!)");
  EXPECT_EQ(sender.resets, 1);
}

TEST_F(GrpcCallTest, TheStreamNeedNotComplete) {
  begin();
  call->send("x", true);
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
  in_event([&](GrpcCall& each) { each.on_trailers(head({{"grpc-status", "0"}})); });
  EXPECT_EQ(log, "initial(1) trailers(1) close(0 )");
  EXPECT_EQ(sender.resets, 1);
}

TEST_F(GrpcCallTest, NothingButAStatus) {
  begin();
  in_event([&](GrpcCall& each) {
    each.on_head(head({{":status", "200"}, {"grpc-status", "16"}, {"grpc-message", "who?"}}), true);
  });
  EXPECT_EQ(log, "trailers(3) close(16 who?)");
}

TEST_F(GrpcCallTest, HttpErrors) {
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "503"}}), false); });
  EXPECT_EQ(log, "close(14 the upstream answered with HTTP status 503)");
  EXPECT_EQ(sender.resets, 1);
  log.clear();
  begin();
  in_event([&](GrpcCall& each) {
    each.on_head(head({{":status", "500"}, {"grpc-status", "3"}}), false);
  });
  EXPECT_EQ(log, "trailers(2) close(3 )") << "a gRPC status counts more";
}

TEST_F(GrpcCallTest, AnswersWithoutAStatus) {
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), true); });
  EXPECT_EQ(log, "initial(1) close(2 the answer has no gRPC status)");
  log.clear();
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
  data("\0\0\0\0\1x"s, true);
  EXPECT_EQ(log, "initial(1) message(x) close(2 the answer ended without a gRPC status)");
  log.clear();
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
  in_event([&](GrpcCall& each) { each.on_trailers(head({{"other", "x"}})); });
  EXPECT_EQ(log, "initial(1) trailers(1) close(2 the answer ended without a gRPC status)");
}

TEST_F(GrpcCallTest, BadFrames) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\1\0\0\0\1x"s, "close(13 a message is compressed, which was not offered)"},
      {"\0\0\0\0\145"s, "close(8 a message is larger than 100 bytes)"},
      {"\0\0\0\0\1x<html>"s,
       "message(x) close(13 a message is compressed, which was not offered)"}};
  for (const auto& [bytes, expected] : cases) {
    begin();
    data(bytes);
    EXPECT_EQ(log, expected);
    log.clear();
  }
  begin();
  data("\0\0\0\0\4ab"s);
  in_event([&](GrpcCall& each) { each.on_trailers(head({{"grpc-status", "0"}})); });
  EXPECT_EQ(log, "trailers(1) close(13 the answer ended in the middle of a message)");
}

TEST_F(GrpcCallTest, Resets) {
  const std::vector<std::pair<StreamError, std::string>> before = {
      {StreamError::kRefused, "14"},  {StreamError::kConnectTimeout, "14"},
      {StreamError::kClosed, "14"},   {StreamError::kTimeout, "4"},
      {StreamError::kProtocol, "13"}, {StreamError::kTooLarge, "13"},
      {StreamError::kCancelled, "1"}};
  for (const auto& [error, code] : before) {
    begin();
    in_event([&](GrpcCall& each) { each.on_reset(error, "why"); });
    EXPECT_EQ(log, "close(" + code + " upstream reset: why)");
    log.clear();
  }
  begin();
  in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
  in_event([&](GrpcCall& each) { each.on_reset(StreamError::kClosed, ""); });
  EXPECT_EQ(log, "initial(1) close(13 upstream reset: " +
                     std::string(http::to_string(StreamError::kClosed)) + ")");
  EXPECT_EQ(sender.resets, 0) << "the stream is gone";
}

TEST_F(GrpcCallTest, NothingComesAfterCancel) {
  for (const std::string_view at : {"initial", "message", "outside"}) {
    cancel_at = at;
    sender.resets = 0;
    log.clear();
    begin();
    in_event([&](GrpcCall& each) { each.on_head(head({{":status", "200"}}), false); });
    if (at != "initial") data("\0\0\0\0\1x\0\0\0\0\1y"s);
    if (at == "outside") call->cancel();
    EXPECT_EQ(sender.resets, 1) << at;
    call.reset();
    EXPECT_EQ(log, at == "initial"   ? "initial(1) "
                   : at == "message" ? "initial(1) message(x) "
                                     : "initial(1) message(x) message(y) ");
    EXPECT_EQ(sender.resets, 1);
  }
}

TEST_F(GrpcCallTest, WhatWaitsToBeSentIsLimited) {
  begin();
  EXPECT_TRUE(call->send(std::string(1000, 'x'), false)) << "below the watermark";
  sender.full = true;
  EXPECT_TRUE(call->send(std::string(30, 'x'), false));
  EXPECT_FALSE(call->send(std::string(30, 'x'), false));
  EXPECT_TRUE(call->send(std::string(10, 'x'), false));
  sender.full = false;
  EXPECT_TRUE(call->send(std::string(30, 'x'), false));
  sender.full = true;
  EXPECT_TRUE(call->send(std::string(30, 'x'), true)) << "counted anew";
  EXPECT_FALSE(call->send("", true)) << "after the end";
}

TEST_F(GrpcCallTest, TheDeadline) {
  std::promise<std::string> closed;
  struct Events final : GrpcEvents {
    explicit Events(std::promise<std::string>& out) : closed(out) {}
    void on_initial_metadata(http::HeadPtr) override {}
    void on_message(http::Buffer) override {}
    void on_close(http::HeadPtr, GrpcStatus status) override {
      closed.set_value(std::to_string(static_cast<std::uint32_t>(status.code)) + status.message);
    }
    std::promise<std::string>& closed;
  } events(closed);
  worker.start();
  worker.post([&] {
    call = std::make_shared<GrpcCall>(worker, GrpcCall::Limits{}, events);
    call->start(
        sender,
        {.authority = "", .path = "/", .metadata = {}, .timeout = std::chrono::milliseconds(10)});
  });
  EXPECT_EQ(closed.get_future().get(), "4the time-out of the call is over");
  worker.stop();
  worker.join();
  EXPECT_EQ(sender.resets, 1);
}

TEST(GrpcHeaders, TheProtocolsOwn) {
  for (const std::string_view name : {":path", "te", "content-type", "grpc-timeout", "host"}) {
    EXPECT_TRUE(is_grpc_header(name)) << name;
  }
  EXPECT_FALSE(is_grpc_header("authorization"));
}

}  // namespace
}  // namespace heddle::services
