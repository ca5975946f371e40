// gRPC calls and streams: statuses, order of events, what may be named, and ends of every kind.
#include <string>
#include <vector>

#include "base/protobuf.h"
#include "contracts/proxy_wasm/grpc_target.h"
#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/testing.h"
#include "services/grpc_frames.h"

namespace heddle::proxy_wasm {
namespace {

using namespace std::string_literals;
using http::StreamError;

constexpr std::int64_t kA = Guest::kOut;
constexpr std::int64_t kB = Guest::kOut + 8;
constexpr std::int64_t kC = Guest::kOut + 16;
constexpr std::uint32_t kEvents = 20000;  // where the guest writes down its callbacks

std::string bytes_field(std::uint32_t number, std::string_view value) {
  std::string out;
  protobuf::write_bytes(out, number, value);
  return out;
}
std::string envoy_grpc(std::string_view cluster, std::string_view authority = "") {
  return bytes_field(1, bytes_field(1, cluster) + bytes_field(2, authority));
}
std::string google_grpc(std::string_view uri) {
  return bytes_field(2, bytes_field(1, uri));
}

TEST(GrpcTarget, Services) {
  const auto plain = parse_grpc_service(envoy_grpc("cluster"));
  ASSERT_TRUE(plain.has_value());
  EXPECT_EQ(plain->upstream, "cluster");
  EXPECT_EQ(plain->authority, "cluster");
  EXPECT_FALSE(plain->is_address);

  std::string duration;
  protobuf::write_varint(duration, 1, 2);
  protobuf::write_varint(duration, 2, 500'000'000);
  const auto full =
      parse_grpc_service(envoy_grpc("cluster", "host.test") + bytes_field(3, duration) +
                         bytes_field(5, bytes_field(1, "x-key") + bytes_field(2, "value")) +
                         bytes_field(5, bytes_field(1, "x-raw") + bytes_field(3, "raw")));
  ASSERT_TRUE(full.has_value());
  EXPECT_EQ(full->authority, "host.test");
  EXPECT_EQ(full->timeout, std::chrono::milliseconds(2500));
  EXPECT_EQ(full->metadata, (std::vector<std::pair<std::string, std::string>>{{"x-key", "value"},
                                                                              {"x-raw", "raw"}}));
}

TEST(GrpcTarget, Addresses) {
  for (const std::string_view uri : {"host:50051", "dns:host:50051", "dns:///host:50051",
                                     "dns://8.8.8.8/host:50051", "ipv4:host:50051"}) {
    const auto target = parse_grpc_service(google_grpc(uri));
    ASSERT_TRUE(target.has_value()) << uri;
    EXPECT_EQ(target->upstream, "host:50051") << uri;
    EXPECT_TRUE(target->is_address);
    EXPECT_FALSE(target->needs_tls);
  }
  EXPECT_EQ(parse_grpc_service(google_grpc("ipv6:[::1]:80"))->upstream, "[::1]:80");
  const auto tls = parse_grpc_service(
      bytes_field(2, bytes_field(1, "h:1") + bytes_field(2, bytes_field(1, "x"))));
  EXPECT_TRUE(tls->needs_tls);
  const auto last = parse_grpc_service(google_grpc("h:1") + envoy_grpc("cluster"));
  EXPECT_FALSE(last->is_address) << "of a oneof the last counts";
  EXPECT_EQ(last->upstream, "cluster");
}

TEST(GrpcTarget, NoService) {
  for (const std::string& bytes :
       {""s, "authorino"s, "a plain name"s, envoy_grpc(""), google_grpc(""), google_grpc("dns:///"),
        "\x0a\x05\x0a\xff\xff\xff\xff"s, bytes_field(1, "\x0a\x7f"), bytes_field(3, "x"),
        envoy_grpc("c") + "\x0a", "\x0a"s, "\x12\x00"s, std::string(1000, '\xff')}) {
    EXPECT_FALSE(parse_grpc_service(bytes).has_value()) << testing::PrintToString(bytes);
  }
  std::string negative;
  protobuf::write_varint(negative, 1, UINT64_MAX);
  EXPECT_EQ(parse_grpc_service(envoy_grpc("c") + bytes_field(3, negative))->timeout.count(), 0);
}

class GrpcTest : public ProxyWasmTest {
 protected:
  enum Event : std::uint32_t { kInitial = 1, kReceive, kTrailing, kClose };

  void SetUp() override {
    ProxyWasmTest::SetUp();
    spec_.outbound_calls = 100;
  }
  void TearDown() override {
    if (context_ != nullptr && vm_ != nullptr) vm_->close(*context_);
    context_.reset();
    version_.reset();
    ProxyWasmTest::TearDown();
  }

  // The callback writes event, token and value behind those before it, then does `more`.
  void record(Event event, std::string_view name) {
    const std::string at = "(i32.add (i32.const " + std::to_string(kEvents) +
                           ") (i32.mul (global.get $n) (i32.const 12)))";
    guest_.add("(func (export \"proxy_on_grpc_" + std::string(name) +
               "\") (param $c i32) (param $t i32) (param $v i32) (i32.store " + at +
               " (i32.const " + std::to_string(event) + ")) (i32.store offset=4 " + at +
               " (local.get $t)) (i32.store offset=8 " + at +
               " (local.get $v)) (global.set $n (i32.add (global.get $n) (i32.const 1)))" +
               more_[event] + ")");
  }
  // "initial 6 2, receive 6 1": what the guest was told so far.
  std::string events() {
    constexpr std::array<std::string_view, 5> kNames = {"", "initial", "receive", "trailing",
                                                        "close"};
    std::string text;
    for (std::uint32_t at = kEvents; out(at) != 0; at += 12) {
      if (!text.empty()) text += ", ";
      text += std::string(kNames.at(out(at))) + " " + std::to_string(out(at + 4)) + " " +
              std::to_string(out(at + 8));
    }
    return text;
  }
  std::size_t grpc_call(std::string_view upstream, std::int64_t timeout = 0,
                        std::string_view metadata = "", std::string_view method = "Check") {
    return guest_.call("proxy_grpc_call",
                       {guest_.text(upstream), size_of(upstream), guest_.text("a.Service"), 9,
                        guest_.text(method), size_of(method), guest_.text(metadata),
                        size_of(metadata), guest_.text("question"), 8, timeout, kA});
  }
  std::size_t grpc_stream(std::string_view upstream) {
    return guest_.call("proxy_grpc_stream",
                       {guest_.text(upstream), size_of(upstream), guest_.text("a.Service"), 9,
                        guest_.text("Watch"), 5, 0, 0, kA});
  }
  static std::int64_t size_of(std::string_view text) {
    return static_cast<std::int64_t>(text.size());
  }
  void go() {
    guest_.add("(global $n (mut i32) (i32.const 0))");
    record(kInitial, "receive_initial_metadata");
    record(kReceive, "receive");
    record(kTrailing, "receive_trailing_metadata");
    record(kClose, "close");
    start_vm(guest_);
    context_ = std::make_unique<TestContext>(host_.get());
    ASSERT_TRUE(open_context(*context_));
  }
  int run(std::size_t index) { return ProxyWasmTest::run(index, *context_); }

  static http::HeadPtr head(
      std::initializer_list<std::pair<std::string_view, std::string_view>> list) {
    http::HeadPtr out = http::make_head();
    for (const auto& [name, value] : list) out->headers.add(name, value);
    return out;
  }
  FakeStream& stream(std::size_t index = 0) { return *upstreams_.streams.at(index); }
  // The upstream's side; nothing happens when the caller has given up.
  template <typename Event>
  void event(Event event, std::size_t index = 0) {
    const net::Worker::Scope scope(*worker_);
    if (stream(index).receiver != nullptr) event(*stream(index).receiver);
  }
  void answer_head() {
    event([](http::Receiver& to) { to.on_head(head({{":status", "200"}, {"a", "b"}}), false); });
  }
  void answer_message(std::string_view message) {
    event([&](http::Receiver& to) {
      http::Buffer bytes;
      services::append_grpc_message(bytes, message);
      to.on_data(bytes, false);
    });
  }
  void answer_trailers(std::string_view status, std::string_view message = "") {
    event([&](http::Receiver& to) {
      to.on_trailers(head({{"grpc-status", status}, {"grpc-message", message}}));
    });
  }

  Guest guest_;
  std::array<std::string, 5> more_;
  std::unique_ptr<TestContext> context_;
};

TEST_F(GrpcTest, AUnaryCallThatSucceeds) {
  const std::string metadata = [] {
    Arena arena;
    http::HeaderMap map(arena);
    map.add("X-Key", "value");
    map.add("content-type", "text/html");
    std::string out(pairs_size(map), '\0');
    write_pairs(map, out.data());
    return out;
  }();
  const auto call = grpc_call("auth", 1500, metadata);
  go();
  EXPECT_EQ(run(call), 0);
  EXPECT_EQ(out(), 5U);
  EXPECT_EQ(run(call), 0);
  EXPECT_EQ(out(), 9U);
  const auto& sent = stream().head;
  EXPECT_EQ(sent.at(":path"), "/a.Service/Check");
  EXPECT_EQ(sent.at(":method"), "POST");
  EXPECT_EQ(sent.at(":authority"), "auth");
  EXPECT_EQ(sent.at("te"), "trailers");
  EXPECT_EQ(sent.at("content-type"), "application/grpc");
  EXPECT_EQ(sent.at("grpc-timeout"), "1500m");
  EXPECT_EQ(sent.at("x-key"), "value");
  EXPECT_EQ(stream().body, "\0\0\0\0\10question"s);
  EXPECT_TRUE(stream().ended);
  answer_head();
  answer_message("yes!");
  EXPECT_EQ(events(), "") << "not before the status";
  answer_trailers("0");
  EXPECT_EQ(events(), "receive 5 4");
  EXPECT_EQ(stream().receiver, nullptr);
}

TEST_F(GrpcTest, AUnaryCallThatFails) {
  more_[kClose] = "(drop " + guest_.invoke("proxy_get_status", {kA, kB, kC}) + ")";
  const auto call = grpc_call("auth");
  go();
  EXPECT_EQ(run(call), 0);
  answer_head();
  answer_message("a part");
  answer_trailers("7", "den%69ed");
  EXPECT_EQ(events(), "close 5 7");
  EXPECT_EQ(out(), 7U);
  EXPECT_EQ(*vm_->instance().memory().view(out(kB), out(kC)), "denied");
}

TEST_F(GrpcTest, AUnaryCallEndsWithReceiveOrClose) {
  const auto call = grpc_call("auth");
  go();
  for (int i = 0; i < 4; ++i) EXPECT_EQ(run(call), 0);
  event([](http::Receiver& to) { to.on_reset(StreamError::kRefused, "no"); }, 0);
  event([](http::Receiver& to) { to.on_head(head({{":status", "503"}}), true); }, 1);
  event(
      [](http::Receiver& to) {
        to.on_head(head({{":status", "200"}, {"grpc-status", "0"}}), true);
      },
      2);
  event(
      [](http::Receiver& to) {
        to.on_head(head({{":status", "200"}, {"grpc-status", "99"}}), true);
      },
      3);
  EXPECT_EQ(events(), "close 5 14, close 9 14, close 13 13, close 17 2");
  const std::string log = logged();
  EXPECT_NE(log.find("a gRPC call of the plugin failed with status 14"), std::string::npos);
  EXPECT_NE(log.find(R"("upstream":"auth")"), std::string::npos);
}

TEST_F(GrpcTest, AStream) {
  const auto open = grpc_stream("auth");
  const auto send = guest_.call("proxy_grpc_send", {6, guest_.text("one"), 3, 0});
  const auto finish = guest_.call("proxy_grpc_send", {6, guest_.text("two"), 3, 1});
  const auto close = guest_.call("proxy_grpc_close", {6});
  go();
  EXPECT_EQ(run(send), 1);
  EXPECT_EQ(run(open), 0);
  EXPECT_EQ(out(), 6U);
  EXPECT_FALSE(stream().head.contains("grpc-timeout"));
  EXPECT_EQ(run(send), 0);
  answer_head();
  answer_message("a");
  EXPECT_EQ(run(finish), 0);
  EXPECT_EQ(run(send), 2) << "the end was sent";
  EXPECT_EQ(run(close), 0);
  answer_message("bcd");
  answer_message("");
  answer_trailers("0");
  EXPECT_EQ(stream().body, "\0\0\0\0\3one\0\0\0\0\3two"s);
  EXPECT_EQ(events(),
            "initial 6 2, receive 6 1, receive 6 3, receive 6 0, trailing 6 2, close 6 0");
  EXPECT_EQ(run(send), 1);
  EXPECT_EQ(run(close), 1);
}

TEST_F(GrpcTest, CloseOfAStreamIsHalfOfIt) {
  const auto open = grpc_stream("auth");
  const auto close = guest_.call("proxy_grpc_close", {6});
  go();
  EXPECT_EQ(run(open), 0);
  EXPECT_EQ(run(close), 0);
  EXPECT_TRUE(stream().ended);
  answer_head();
  answer_message("x");
  answer_trailers("3");
  EXPECT_EQ(events(), "initial 6 2, receive 6 1, trailing 6 2, close 6 3");
}

TEST_F(GrpcTest, AStreamThatFailsHasAllItsEventsToo) {
  const auto open = grpc_stream("auth");
  go();
  EXPECT_EQ(run(open), 0);
  event([](http::Receiver& to) { to.on_reset(StreamError::kConnectTimeout, ""); });
  EXPECT_EQ(events(), "initial 6 0, trailing 6 0, close 6 14");
}

TEST_F(GrpcTest, WhatCallbacksMayRead) {
  const auto read_map = [&](std::int64_t map, std::string_view name) {
    return "(drop " +
           guest_.invoke("proxy_get_header_map_value",
                         {map, guest_.text(name), size_of(name), kA, kB}) +
           ")";
  };
  more_[kInitial] = read_map(4, "a");
  more_[kTrailing] = read_map(5, "grpc-status");
  more_[kReceive] = "(drop " + guest_.invoke("proxy_get_buffer_bytes", {5, 0, 100, kA, kB}) + ")";
  const auto open = grpc_stream("auth");
  const auto outside = guest_.call("proxy_get_buffer_bytes", {5, 0, 100, kA, kB});
  go();
  EXPECT_EQ(run(open), 0);
  EXPECT_EQ(run(outside), 1);
  answer_head();
  EXPECT_EQ(got(), "b");
  answer_message("the message");
  EXPECT_EQ(got(), "the message");
  answer_trailers("11");
  EXPECT_EQ(got(), "11");
  EXPECT_EQ(run(outside), 1);
}

TEST_F(GrpcTest, NothingComesAfterCancel) {
  const auto call = grpc_call("auth");
  const auto open = grpc_stream("auth");
  const auto cancel_call = guest_.call("proxy_grpc_cancel", {5});
  const auto close_call = guest_.call("proxy_grpc_close", {9});
  const auto cancel_stream = guest_.call("proxy_grpc_cancel", {6});
  go();
  for (const auto index : {call, call, open}) EXPECT_EQ(run(index), 0);
  for (const auto index : {cancel_call, close_call, cancel_stream}) {
    EXPECT_EQ(run(index), 0);
    EXPECT_EQ(run(index), 1);
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(stream(i).receiver, nullptr) << i;
  EXPECT_EQ(events(), "");
}

TEST_F(GrpcTest, CancelFromWithinACallback) {
  more_[kReceive] = "(drop " + guest_.invoke("proxy_grpc_cancel", {6}) + ")";
  const auto open = grpc_stream("auth");
  go();
  EXPECT_EQ(run(open), 0);
  event([](http::Receiver& to) {
    http::Buffer bytes;
    services::append_grpc_message(bytes, "x");
    services::append_grpc_message(bytes, "y");
    to.on_data(bytes, false);
  });
  EXPECT_EQ(events(), "receive 6 1");
  EXPECT_EQ(stream().receiver, nullptr);
}

TEST_F(GrpcTest, ATrapEndsEverything) {
  more_[kReceive] = "(unreachable)";
  const auto open = grpc_stream("auth");
  const auto call = grpc_call("auth");
  go();
  EXPECT_EQ(run(open), 0);
  EXPECT_EQ(run(call), 0);
  answer_message("x");
  EXPECT_TRUE(vm_->failed());
  EXPECT_EQ(stream(0).receiver, nullptr);
  EXPECT_EQ(stream(1).receiver, nullptr) << "the other call is given up too";
  EXPECT_EQ(events(), "receive 6 1");
}

TEST_F(GrpcTest, CallsEndWithTheirVm) {
  const auto call = grpc_call("auth");
  go();
  EXPECT_EQ(run(call), 0);
  vm_->close(*context_);
  context_.reset();
  vm_.reset();
  root_.reset();
  EXPECT_EQ(stream().receiver, nullptr);
}

TEST_F(GrpcTest, NamesOfUpstreams) {
  spec_.permitted_hosts = {"*.test:50051"};
  const auto unknown = grpc_call("nobody");
  const auto no_name = grpc_call("a\nb");
  const auto service = grpc_call(envoy_grpc("auth", "host.test"));
  const auto unknown_service = grpc_call(envoy_grpc("nobody"));
  const auto address = grpc_call(google_grpc("dns:///a.test:50051"));
  const auto plain_address = grpc_call("b.test:50051");
  const auto forbidden = grpc_call(google_grpc("a.other:50051"));
  const auto empty = grpc_stream("");
  go();
  EXPECT_EQ(run(unknown), 4);
  EXPECT_EQ(run(no_name), 4);
  EXPECT_EQ(run(empty), 4);
  EXPECT_EQ(run(unknown_service), 10);
  EXPECT_EQ(run(forbidden), 10);
  EXPECT_TRUE(upstreams_.streams.empty());
  EXPECT_EQ(run(service), 0);
  EXPECT_EQ(stream().head.at(":authority"), "host.test");
  EXPECT_EQ(run(address), 0);
  EXPECT_EQ(stream(1).head.at(":authority"), "a.test:50051");
  EXPECT_EQ(run(plain_address), 0);
  EXPECT_EQ(events(), "");
}

TEST_F(GrpcTest, BadArguments) {
  const auto bad_method = grpc_call("auth", 0, "", "a b");
  const auto bad_metadata = grpc_call("auth", 0, "no pairs");
  const auto no_token =
      guest_.call("proxy_grpc_stream", {guest_.text("auth"), 4, 0, 0, 0, 0, 0, 0, 0x7fffffff});
  const auto call = grpc_call("auth");
  const auto send_to_call = guest_.call("proxy_grpc_send", {5, 0, 0, 0});
  go();
  EXPECT_EQ(run(bad_method), 10);
  EXPECT_EQ(run(bad_metadata), 10);
  EXPECT_EQ(run(no_token), 6);
  EXPECT_TRUE(upstreams_.streams.empty());
  EXPECT_EQ(run(call), 0);
  EXPECT_EQ(run(send_to_call), 2);
}

TEST_F(GrpcTest, Limits) {
  spec_.outbound_calls = 2;
  spec_.buffer_limit = 4;
  const auto call = grpc_call("auth");
  const auto open = grpc_stream("auth");
  const auto send = guest_.call("proxy_grpc_send", {6, guest_.text("12345"), 5, 0});
  go();
  EXPECT_EQ(run(call), 0);
  EXPECT_EQ(run(open), 0);
  EXPECT_EQ(run(call), 10) << "outbound_calls is 2";
  EXPECT_EQ(run(send), 0);
  stream(1).full = true;
  EXPECT_EQ(run(send), 2) << "the upstream does not read";
  answer_message("12345");
  EXPECT_EQ(events(), "close 5 8") << "larger than buffer_limit";
  EXPECT_EQ(run(call), 0) << "one has ended";
  for (const auto& limit : {"outbound_calls", "body_bytes"}) {
    EXPECT_EQ(counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", limit}}),
              1U);
  }
}

}  // namespace
}  // namespace heddle::proxy_wasm
