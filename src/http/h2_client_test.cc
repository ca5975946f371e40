// The client side of HTTP/2 over loopback: against this folder's own server, and against servers
// written frame by frame for what that one never does.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "http/test_support.h"

namespace heddle::http {
namespace {

using namespace std::chrono_literals;
using testing::Exchange;
using testing::Peer;
using testing::PeerListener;
using testing::Recorder;
using testing::ScriptedHandler;

using Headers = std::vector<std::pair<std::string, std::string>>;

class H2Client : public testing::WorkerFixture {
 public:
  ~H2Client() override {
    on_worker([&] {
      if (listener) listener->abort();
      listener.reset();
      pool.reset();
    });
  }

 protected:
  H2Client() {
    handler.script = [](Exchange&, bool) {};
    on_worker([&] { pool = ClientPool::create(worker, blocking, registry); });
  }
  // Serves HTTP/2 on the same worker.
  void serve() {
    server_limits.http2.only = true;
    on_worker([&] {
      auto made = Listener::create(worker, "127.0.0.1:0", server_limits, handler, registry);
      ASSERT_TRUE(made);
      listener = std::move(*made);
      endpoint = "127.0.0.1:" + std::to_string(listener->local_port());
    });
  }
  ClientStream& request(Recorder& recorder, const std::string& method, std::string_view body = {},
                        bool end = true, const Headers& headers = {}) {
    ClientStream* stream = nullptr;
    on_worker([&] { stream = &request_now(recorder, method, body, end, headers); });
    return *stream;
  }
  ClientStream& request_now(Recorder& recorder, const std::string& method,
                            std::string_view body = {}, bool end = true,
                            const Headers& headers = {}) {
    ClientStream& stream =
        pool->open({.endpoint = endpoint, .protocol = ClientProtocol::kHttp2}, limits, recorder);
    const HeadPtr head = make_head();
    for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
             {":authority", "up"}, {":path", "/p"}, {":method", method}, {":scheme", "http"}}) {
      head->headers.add(name, value);
    }
    for (const auto& [name, value] : headers) head->headers.add(name, value);
    stream.send_head(head->headers, end && body.empty());
    if (!body.empty()) send(stream, body, end);
    recorder.log += recorder.log.empty() ? "" : "within the call!|";
    return stream;
  }
  static void send(ClientStream& stream, std::string_view text, bool end) {
    Buffer buffer;
    buffer.append(text);
    stream.send_data(std::move(buffer), end);
  }
  template <typename Condition>
  void wait_until(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + 10s;
    bool there = false;
    while (!there && std::chrono::steady_clock::now() < deadline) {
      on_worker([&] { there = condition(); });
      std::this_thread::yield();
    }
    EXPECT_TRUE(there);
  }

  net::BlockingPool blocking{1};
  ScriptedHandler handler;
  ServerLimits server_limits;
  std::unique_ptr<Listener> listener;
  std::string endpoint;
  ClientLimits limits;
  std::unique_ptr<ClientPool> pool;
};

TEST_F(H2Client, ExchangesShareOneConnection) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.answer(200, {{"content-length", "2"}}, "ok");
  };
  serve();
  Recorder first;
  Recorder second;
  std::uint64_t first_connection = 0;
  on_worker([&] {
    ClientStream& one = request_now(first, "GET");
    ClientStream& two = request_now(second, "GET");
    first_connection = one.upstream().connection_id;
    EXPECT_EQ(two.upstream().connection_id, first_connection);
    EXPECT_EQ(one.upstream().remote_address, endpoint);
  });
  first.wait();
  second.wait();
  EXPECT_EQ(first.log, "head 200|end|complete|");
  EXPECT_EQ(second.body, "ok");
  Recorder third;
  on_worker(
      [&] { EXPECT_EQ(request_now(third, "GET").upstream().connection_id, first_connection); });
  third.wait();
  on_worker([&] {
    EXPECT_EQ(pool->active(), 0U);
    EXPECT_EQ(handler.exchanges.size(), 3U);
    EXPECT_EQ(listener->connections(), 1U);
  });
}

TEST_F(H2Client, BodiesAndTrailersBothWays) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.on_trailers_hook = [&exchange] {
      exchange.head_only(200, {}, false);
      exchange.data(exchange.body, false);
      const HeadPtr trailers = make_head();
      trailers->headers.add("grpc-status", "0");
      exchange.sender->send_trailers(trailers->headers);
    };
  };
  serve();
  Recorder recorder;
  ClientStream& stream = request(recorder, "POST", "abc", false);
  on_worker([&] {
    const HeadPtr trailers = make_head();
    trailers->headers.add("x-sum", "1");
    stream.send_trailers(trailers->headers);
  });
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200|grpc-status=0|complete|");
  EXPECT_EQ(recorder.body, "abc");
  on_worker([&] { EXPECT_EQ(handler.exchanges[0]->log, "x-sum=1|complete|"); });
}

TEST_F(H2Client, WhatConnectionNominatesIsNotSent) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.head_only(200,
                       {{"connection", "close"},
                        {"connection", "x-hop, date"},
                        {"x-hop", "1"},
                        {"date", "today"},
                        {"x-kept", "2"}},
                       true);
  };
  serve();
  Recorder recorder;
  bool hop = true;
  std::string kept;
  std::string date;
  recorder.on_head_hook = [&] {
    hop = recorder.head->headers.contains("x-hop");
    kept = recorder.head->headers.get("x-kept").value_or("");
    date = recorder.head->headers.get("date").value_or("");
  };
  request(recorder, "GET");
  recorder.wait();
  EXPECT_FALSE(hop);
  EXPECT_EQ(kept, "2");
  EXPECT_TRUE(date.ends_with(" GMT")) << date;
}

TEST_F(H2Client, AHeadMayBeAllOfTheAnswer) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.head_only(200, {{"grpc-status", "12"}}, true);
  };
  serve();
  Recorder recorder;
  request(recorder, "POST", "abc", true, {{"content-length", "3"}});
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
}

TEST_F(H2Client, LargeBodiesPassTheWindowsBothWays) {
  const std::string large(5'000'000, 'x');
  handler.script = [](Exchange& exchange, bool) {
    exchange.on_data_hook = [&exchange](Buffer&, bool last) {
      if (last) exchange.answer(200, {}, exchange.body);
    };
  };
  serve();
  Recorder recorder;
  request(recorder, "POST", large);
  recorder.wait();
  EXPECT_EQ(recorder.body, large);
}

TEST_F(H2Client, APausedReceiverHoldsTheServerBack) {
  const std::string large(4'000'000, 'x');
  handler.script = [&](Exchange& exchange, bool) { exchange.answer(200, {}, large); };
  serve();
  Recorder recorder;
  ClientStream* stream = nullptr;
  on_worker([&] {
    stream = &request_now(recorder, "GET");
    stream->pause_receiving();
  });
  wait_until([&] { return handler.exchanges.size() == 1 && recorder.head != nullptr; });
  Recorder other;  // is not held up by the first
  handler.script = [&](Exchange& exchange, bool) { exchange.answer(200, {}, "quick"); };
  request(other, "GET");
  other.wait();
  EXPECT_EQ(other.body, "quick");
  on_worker([&] {
    EXPECT_TRUE(recorder.body.empty());
    EXPECT_TRUE(handler.exchanges[0]->sender->above_watermark());
    stream->resume_receiving();
  });
  recorder.wait();
  EXPECT_EQ(recorder.body, large);
}

TEST_F(H2Client, ASlowServerHoldsTheSenderBack) {
  handler.script = [](Exchange& exchange, bool) { exchange.sender->pause_receiving(); };
  serve();
  Recorder recorder;
  ClientStream& stream = request(recorder, "POST", std::string(2'000'000, 'x'), false);
  wait_until([&] { return handler.exchanges.size() == 1; });
  on_worker([&] {
    EXPECT_TRUE(stream.above_watermark());
    handler.exchanges[0]->sender->resume_receiving();
  });
  wait_until([&] { return recorder.log == "writable|"; });
  on_worker([&] {
    send(stream, "", true);
    handler.exchanges[0]->answer(200, {}, "");
  });
  recorder.wait();
}

TEST_F(H2Client, MoreStreamsThanAllowedOpenMoreConnections) {
  server_limits.http2.max_concurrent_streams = 2;
  serve();
  std::vector<Recorder> recorders(5);
  request(recorders[0], "GET");
  wait_until([&] { return handler.exchanges.size() == 1; });
  for (std::size_t i = 1; i < 5; ++i) request(recorders[i], "GET");
  wait_until([&] { return handler.exchanges.size() == 5; });
  on_worker([&] {
    EXPECT_GE(listener->connections(), 2U);
    for (const auto& exchange : handler.exchanges) exchange->answer(204, {}, "");
  });
  for (Recorder& recorder : recorders) {
    recorder.wait();
    EXPECT_EQ(recorder.log, "head 204 end|complete|");
  }
}

TEST_F(H2Client, ADrainingServerMovesNewRequestsToAnotherConnection) {
  serve();
  Recorder slow;
  request(slow, "GET");
  wait_until([&] { return handler.exchanges.size() == 1; });
  std::unique_ptr<Listener> draining;
  on_worker([&] {
    draining = std::move(listener);
    draining->stop_accepting();
    draining->drain();
    listener = std::move(*Listener::create(worker, endpoint, server_limits, handler, registry));
  });
  handler.script = [](Exchange& exchange, bool) { exchange.answer(200, {}, "late"); };
  for (int i = 0; i < 20; ++i) {
    Recorder recorder;
    request(recorder, "POST", "body", true);
    recorder.wait();
    EXPECT_EQ(recorder.body, "late") << recorder.reset_detail;
  }
  on_worker([&] { handler.exchanges[0]->answer(200, {}, "slow"); });
  slow.wait();
  EXPECT_EQ(slow.body, "slow");
  wait_until([&] { return draining->connections() == 0; });
  on_worker([&] { draining.reset(); });
}

TEST_F(H2Client, ResetsOfEitherSideConcernTheStreamAlone) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.sender->reset(StreamError::kProtocol);
    exchange.sender = nullptr;
  };
  serve();
  Recorder refused;
  request(refused, "GET");
  refused.wait();
  EXPECT_EQ(refused.log, "reset protocol error|");
  handler.script = [](Exchange&, bool) {};
  Recorder given_up;
  ClientStream& stream = request(given_up, "GET");
  wait_until([&] { return handler.exchanges.size() == 2; });
  on_worker([&] { stream.reset(StreamError::kCancelled); });
  wait_until([&] { return handler.exchanges[1]->log == "reset closed|"; });
  EXPECT_EQ(given_up.log, "");
  on_worker([&] {
    EXPECT_EQ(pool->active(), 0U);
    EXPECT_EQ(listener->connections(), 1U);
  });
}

TEST_F(H2Client, AnAbortedServerIsAReset) {
  serve();
  Recorder recorder;
  request(recorder, "POST", "abc", true);
  wait_until([&] { return handler.exchanges.size() == 1; });
  on_worker([&] { listener->abort(); });
  recorder.wait();
  EXPECT_EQ(recorder.log, "reset closed|");
}

TEST_F(H2Client, AnUpgradeIsAnExtendedConnect) {
  handler.script = [](Exchange& exchange, bool) {
    exchange.head_only(101, {{"connection", "upgrade"}, {"upgrade", "websocket"}}, false);
    exchange.on_data_hook = [&exchange](Buffer& data, bool last) {
      exchange.data(data.to_string(), last);
    };
  };
  serve();
  Recorder recorder;
  ClientStream& stream = request(recorder, "GET", {}, false,
                                 {{"connection", "upgrade"},
                                  {"upgrade", "websocket"},
                                  {"sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="}});
  wait_until([&] { return recorder.head != nullptr; });
  on_worker([&] {
    EXPECT_EQ(recorder.log, "head 101|");
    EXPECT_TRUE(recorder.head->upgrade);
    EXPECT_EQ(recorder.head->headers.get("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    send(stream, "hello", false);
  });
  wait_until([&] { return recorder.body == "hello"; });
  on_worker([&] { send(stream, "", true); });
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 101|end|complete|");
}

TEST_F(H2Client, ARefusedUpgradeEndsTheRequest) {
  handler.script = [](Exchange& exchange, bool) { exchange.answer(403, {}, "no"); };
  serve();
  Recorder recorder;
  request(recorder, "GET", {}, false, {{"connection", "upgrade"}, {"upgrade", "websocket"}});
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 403|end|complete|");
}

TEST_F(H2Client, TheConnectionLimitIsNamed) {
  server_limits.http2.max_concurrent_streams = 1;
  limits.http2.max_concurrent_streams = 1;
  limits.max_connections = 1;
  serve();
  Recorder first;
  request(first, "GET");
  Recorder second;
  request(second, "GET");
  second.wait();
  EXPECT_EQ(second.log, "reset overflow|");
  EXPECT_NE(second.reset_detail.find("max_connections"), std::string::npos);
}

TEST_F(H2Client, UnusedConnectionsCloseInTime) {
  handler.script = [](Exchange& exchange, bool) { exchange.answer(200, {}, ""); };
  limits.idle_timeout = 20ms;
  serve();
  Recorder recorder;
  request(recorder, "GET");
  recorder.wait();
  wait_until([&] { return listener->connections() == 0; });
  limits.idle_timeout = 60s;
  Recorder second;
  request(second, "GET");
  second.wait();
  on_worker([&] { pool->forget(endpoint); });
  wait_until([&] { return listener->connections() == 0; });
}

TEST_F(H2Client, RefusedConnectionsAreEventsOfTheirOwn) {
  {
    PeerListener gone;
    endpoint = gone.address();
  }
  Recorder refused;
  request(refused, "GET");
  refused.wait();
  EXPECT_EQ(refused.log, "reset refused|");
  endpoint = "nonsense";
  Recorder nonsense;
  request(nonsense, "GET");
  nonsense.wait();
  EXPECT_EQ(nonsense.log, "reset refused|");
}

// ---- against frames written by hand

std::string frame(int type, int flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  for (const int shift : {16, 8, 0}) out += static_cast<char>(payload.size() >> shift);
  out += static_cast<char>(type);
  out += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(stream >> shift);
  return out.append(payload);
}

std::string number(std::uint32_t value) {
  std::string out;
  for (const int shift : {24, 16, 8, 0}) out += static_cast<char>(value >> shift);
  return out;
}

constexpr int kHeaders = 1;
constexpr int kReset = 3;
constexpr int kSettings = 4;
constexpr int kGoaway = 7;
constexpr int kEnd = 5;                              // END_STREAM and END_HEADERS
const std::string kStatus200 = std::string("\x88");  // HPACK's static entry

class H2ClientByHand : public H2Client {
 protected:
  H2ClientByHand() { endpoint = by_hand.address(); }
  // A connection whose first request arrived.
  Peer accept_request() {
    Peer peer = by_hand.accept();
    peer.send(frame(kSettings, 0, 0, ""));
    while (peer.received.find(std::string("\x01\x05\x00\x00\x00\x01", 6)) == std::string::npos &&
           peer.received.find(std::string("\x01\x04\x00\x00\x00\x01", 6)) == std::string::npos) {
      if (!peer.receive()) break;
    }
    return peer;
  }
  PeerListener by_hand;
};

TEST_F(H2ClientByHand, WhatGoawayLeavesOutGoesToAnotherConnection) {
  Recorder recorder;
  request(recorder, "POST", "body", true, {{"content-length", "4"}});
  Peer peer = accept_request();
  peer.send(frame(kGoaway, 0, 0, number(0) + number(0)));
  Peer fresh = accept_request();
  fresh.until("body");
  fresh.send(frame(kHeaders, kEnd, 1, kStatus200));
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
}

TEST_F(H2ClientByHand, ARefusedStreamIsSentAgain) {
  Recorder recorder;
  request(recorder, "POST", "body", true);
  Peer peer = accept_request();
  peer.until("body");
  peer.send(frame(kReset, 0, 1, number(7)));
  peer.until("body");
  peer.send(frame(kHeaders, kEnd, 3, kStatus200));
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
}

// The reset of a stream that did not begin ends the connection while the request waits to be sent:
// nghttp2 tells that it was not sent, and then that the stream has closed.
TEST_F(H2ClientByHand, ARequestThatCannotBeSentLeavesTheConnectionOnce) {
  Recorder recorder;
  request(recorder, "POST", "body", true);
  Peer peer = accept_request();
  peer.until("body");
  peer.send(frame(kReset, 0, 1, number(7)) + frame(kReset, 0, 3, number(8)));
  Peer fresh = accept_request();
  fresh.until("body");
  fresh.send(frame(kHeaders, kEnd, 1, kStatus200));
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
  on_worker([&] { EXPECT_EQ(pool->active(), 0U); });
}

TEST_F(H2ClientByHand, AStreamThatIsAlwaysRefusedFails) {
  Recorder recorder;
  request(recorder, "POST", "body", true);
  Peer peer = accept_request();
  for (std::uint32_t stream = 1; stream <= 7; stream += 2) {
    peer.until("body");
    peer.send(frame(kReset, 0, stream, number(7)));
  }
  recorder.wait();
  EXPECT_EQ(recorder.log, "reset refused|");
}

TEST_F(H2ClientByHand, AWholeAnswerBeforeTheEndOfTheRequest) {
  Recorder recorder;
  request(recorder, "POST", "body", false);
  Peer peer = accept_request();
  peer.send(frame(kHeaders, kEnd, 1, kStatus200) + frame(kReset, 0, 1, number(0)));
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
}

TEST_F(H2ClientByHand, ACloseWithinTheAnswerIsAReset) {
  Recorder recorder;
  request(recorder, "GET");
  Peer peer = accept_request();
  peer.send(frame(kHeaders, 4, 1, kStatus200));
  peer.close();
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200|reset closed|");
}

TEST_F(H2ClientByHand, AStaleConnectionIsReplaced) {
  Recorder first;
  request(first, "GET");
  Peer peer = accept_request();
  peer.send(frame(kHeaders, kEnd, 1, kStatus200));
  first.wait();
  Recorder second;
  request(second, "GET");
  peer.until(std::string("\x01\x05\x00\x00\x00\x03", 6));
  peer.close();  // without an answer: the request may go out again
  Peer fresh = accept_request();
  fresh.send(frame(kHeaders, kEnd, 1, kStatus200));
  second.wait();
  EXPECT_EQ(second.log, "head 200 end|complete|");
}

TEST_F(H2ClientByHand, BadAnswersAreProtocolErrors) {
  const std::vector<std::string> cases = {
      "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
      frame(kHeaders, kEnd, 1, "\xff\xff\xff\xff\xff\xff"),                     // bad HPACK
      frame(kHeaders, kEnd, 1, std::string("\x00\x01x\x01y", 5)),               // no :status
      frame(kHeaders, kEnd, 1, kStatus200 + std::string("\x00\x01X\x01y", 5)),  // upper case
      frame(kSettings, 0, 0, "abc"),
      frame(0, 0, 0, "data on stream 0"),
      frame(5, 4, 1, number(2) + kStatus200),  // a push
      frame(0, 1, 1, "data before the head"),
  };
  for (const std::string& bytes : cases) {
    Recorder recorder;
    request(recorder, "GET");
    Peer peer = by_hand.accept();
    peer.until("PRI * HTTP/2.0");
    if (!bytes.starts_with("HTTP/1.1")) peer.send(frame(kSettings, 0, 0, ""));
    peer.send(bytes);
    recorder.wait();
    EXPECT_EQ(recorder.log, "reset protocol error|") << bytes << recorder.reset_detail;
  }
}

TEST_F(H2ClientByHand, HeadsHaveALimit) {
  limits.max_head_bytes = 1000;
  Recorder recorder;
  request(recorder, "GET");
  Peer peer = accept_request();
  std::string block = kStatus200;
  for (int i = 0; i < 20; ++i) block += std::string("\x00\x01x\x64", 4) + std::string(100, 'y');
  peer.send(frame(kHeaders, kEnd, 1, block));
  recorder.wait();
  EXPECT_EQ(recorder.log, "reset too large|");
}

TEST_F(H2ClientByHand, APeerThatDoesNotAnswerPingIsGivenUp) {
  limits.http2_keepalive = 30ms;
  Recorder recorder;
  request(recorder, "GET");
  Peer peer = accept_request();
  while (peer.received.find(std::string("\x00\x00\x08\x06\x00", 5)) == std::string::npos) {
    if (!peer.receive()) break;
  }
  recorder.wait();
  EXPECT_EQ(recorder.log, "reset timeout|");
}

}  // namespace
}  // namespace heddle::http
