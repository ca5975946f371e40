// The server side over loopback, against a peer that speaks bytes.
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <set>
#include <string>
#include <vector>

#include "http/test_support.h"
#include "net/socket.h"

namespace heddle::http {
namespace {

using namespace std::chrono_literals;
using testing::Exchange;
using testing::Peer;

class H1Server : public testing::WorkerFixture {
 public:
  ~H1Server() override {
    on_worker([&] { listener.reset(); });
    on_worker([&] { handler.exchanges.clear(); });
  }

 protected:
  Exchange& first() {
    Exchange* exchange = nullptr;
    on_worker([&] { exchange = handler.exchanges.front().get(); });
    return *exchange;
  }
  // Serves with `script`, which is called for every request on the worker.
  void serve(std::function<void(Exchange&, bool)> script) {
    handler.script = std::move(script);
    on_worker([&] {
      auto made = Listener::create(worker, "127.0.0.1:0", limits, handler, registry);
      ASSERT_TRUE(made) << made.error().message;
      listener = std::move(*made);
    });
  }
  Peer connect() { return Peer::connect(listener->local_port()); }
  std::uint64_t count(std::string_view name, std::string_view label) {
    std::uint64_t value = 0;
    registry.visit([&](const metrics::Registry::Entry& entry) {
      if (entry.name == name && entry.counter != nullptr && !entry.labels.empty() &&
          entry.labels.front().second == label) {
        value = entry.counter->value();
      }
    });
    return value;
  }

  ServerLimits limits;
  testing::ScriptedHandler handler;
  std::unique_ptr<Listener> listener;
};

void answer_path(Exchange& exchange, bool) {
  exchange.answer(200, {{"content-length", std::to_string(exchange.path.size())}}, exchange.path);
}

TEST_F(H1Server, KeepsTheConnection) {
  serve(answer_path);
  Peer peer = connect();
  for (const std::string path : {"/one", "/two", "/three"}) {
    peer.send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n");
    const std::string head = peer.head();
    EXPECT_EQ(head.rfind("HTTP/1.1 200 OK\r\n", 0), 0U);
    EXPECT_NE(head.find("\r\ndate: "), std::string::npos);
    EXPECT_EQ(head.find("connection:"), std::string::npos);
    EXPECT_EQ(peer.until(path), path);
  }
  on_worker([&] { EXPECT_EQ(handler.remote_ip, "127.0.0.1"); });
}

TEST_F(H1Server, PipelinedRequestsAreAnsweredInOrder) {
  serve(answer_path);
  Peer peer = connect();
  peer.send(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: "
      "3\r\n\r\nabcGET /3 HTTP/1.1\r\n"
      "Host: a\r\nConnection: close\r\n\r\n");
  const std::string all = peer.until_closed();
  EXPECT_LT(all.find("/1"), all.find("/2"));
  EXPECT_LT(all.find("/2"), all.find("/3"));
  EXPECT_NE(all.find("connection: close\r\n"), std::string::npos);
  on_worker([&] { EXPECT_EQ(handler.exchanges[1]->body, "abc"); });
}

TEST_F(H1Server, AThousandPipelinedRequests) {
  serve(answer_path);
  Peer peer = connect();
  std::string requests;
  for (int i = 0; i < 1000; ++i)
    requests += "GET /" + std::to_string(10000 + i) + " HTTP/1.1\r\nHost: a\r\n\r\n";
  std::thread sender([&] { peer.send(requests); });
  for (int i = 0; i < 1000; ++i) peer.until("/" + std::to_string(10000 + i));
  sender.join();
}

TEST_F(H1Server, ContinueIsSentWhenTheBodyIsWanted) {
  serve([](Exchange& exchange, bool) {
    exchange.on_data_hook = [&exchange](Buffer&, bool end) {
      if (end) exchange.answer(200, {}, exchange.body);
    };
  });
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  EXPECT_EQ(peer.head(), "HTTP/1.1 100 Continue\r\n\r\n");
  peer.send("hi");
  EXPECT_NE(peer.until("\r\n0\r\n\r\n").find("hi"), std::string::npos);
}

TEST_F(H1Server, NoContinueWhenTheAnswerIsThereFirst) {
  serve([](Exchange& exchange, bool) { exchange.answer(403, {}, ""); });
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
  const std::string all = peer.until_closed();
  EXPECT_EQ(all.rfind("HTTP/1.1 403", 0), 0U);
  EXPECT_NE(all.find("connection: close\r\n"), std::string::npos);
}

TEST_F(H1Server, HeadHasNoBody) {
  serve([](Exchange& exchange, bool) { exchange.answer(200, {{"content-length", "5"}}, "hello"); });
  Peer peer = connect();
  peer.send(
      "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(peer.head().find("content-length: 5\r\n"), std::string::npos);
  EXPECT_EQ(peer.head().rfind("HTTP/1.1 200", 0), 0U);
  EXPECT_EQ(peer.until_closed(), "");
}

TEST_F(H1Server, ChunkedBothWaysWithTrailers) {
  serve([](Exchange& exchange, bool) {
    exchange.on_trailers_hook = [&exchange] {
      exchange.head_only(200, {}, false);
      exchange.data(exchange.body, false);
      const HeadPtr trailers = make_head();
      trailers->headers.add("x-sum", "7");
      exchange.sender->send_trailers(trailers->headers);
    };
  });
  Peer peer = connect();
  peer.send(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\nX-In: 1\r\n\r\n");
  EXPECT_NE(peer.head().find("transfer-encoding: chunked"), std::string::npos);
  EXPECT_EQ(peer.until("0\r\nx-sum: 7\r\n\r\n"), "5\r\nabcde\r\n0\r\nx-sum: 7\r\n\r\n");
  on_worker([&] { EXPECT_EQ(handler.exchanges[0]->log, "x-in=1|complete|"); });
}

TEST_F(H1Server, Http10ClosesAfterABodyOfUnknownLength) {
  serve([](Exchange& exchange, bool) { exchange.answer(200, {}, "hello"); });
  Peer peer = connect();
  peer.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(peer.head().find("connection: close"), std::string::npos);
  EXPECT_EQ(peer.until_closed(), "hello");
  EXPECT_FALSE(peer.was_reset);
}

TEST_F(H1Server, UpgradeMakesATunnelWithHalfClose) {
  serve([](Exchange& exchange, bool end) {
    EXPECT_FALSE(end);
    EXPECT_TRUE(exchange.head->upgrade);
    exchange.on_data_hook = [&exchange](Buffer& data, bool finished) {
      exchange.sender->send_data(std::move(data), finished);
    };
    exchange.head_only(101, {{"upgrade", "echo"}}, false);
  });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nearly ");
  EXPECT_EQ(peer.head(),
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n");
  peer.send("late");
  EXPECT_EQ(peer.until("late"), "early late");
  peer.finish_sending();
  EXPECT_EQ(peer.until_closed(), "");
  EXPECT_FALSE(peer.was_reset);
  first().wait();
}

TEST_F(H1Server, ARefusedUpgradeEndsTheRequest) {
  serve([](Exchange& exchange, bool) { exchange.answer(200, {}, "no"); });
  Peer peer = connect();
  peer.send(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nGET / "
      "HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.until("0\r\n\r\n");
  peer.until("0\r\n\r\n");
  on_worker([&] { EXPECT_EQ(handler.exchanges[0]->log, "end|complete|"); });
}

TEST_F(H1Server, AnEarlyAnswerDrainsAShortBodyAndKeepsTheConnection) {
  serve([](Exchange& exchange, bool) { exchange.answer(200, {{"content-length", "2"}}, "ok"); });
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n");
  peer.until("ok");
  peer.send(std::string(1000, 'x') + "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.until("ok");
}

TEST_F(H1Server, AnEarlyAnswerToALongBodyArrivesAndCloses) {
  serve([](Exchange& exchange, bool) { exchange.answer(413, {{"content-length", "2"}}, "no"); });
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n" +
            std::string(30000, 'x'));
  EXPECT_NE(peer.until_closed().find("\r\n\r\nno"), std::string::npos);
  EXPECT_FALSE(peer.was_reset);
}

TEST_F(H1Server, HalfCloseAfterTheRequestStillGetsTheAnswer) {
  std::promise<Exchange*> arrived;
  serve([&](Exchange& exchange, bool) { arrived.set_value(&exchange); });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  peer.finish_sending();
  Exchange* const exchange = arrived.get_future().get();
  on_worker([] {});
  on_worker([&] { exchange->answer(200, {}, "late"); });
  EXPECT_NE(peer.until_closed().find("late"), std::string::npos);
}

TEST_F(H1Server, AHeadThatIsCutOffIsToldAndAnIdleConnectionIsNot) {
  serve(answer_path);
  for (const std::string_view whole : {"", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n"}) {
    Peer idle = connect();
    idle.send(whole);
    idle.finish_sending();
    EXPECT_EQ(idle.until_closed().find("HTTP/1.1 400"), std::string::npos) << whole;
  }
  EXPECT_EQ(count("heddle_http_bad_requests_total", "cut_off"), 0U);
  for (const std::string_view part : {"G", "GET / HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n"}) {
    Peer cut = connect();
    cut.send(part);
    cut.finish_sending();
    EXPECT_EQ(cut.until_closed().substr(0, 12), "HTTP/1.1 400") << part;
  }
  EXPECT_EQ(count("heddle_http_bad_requests_total", "cut_off"), 3U);
}

TEST_F(H1Server, ATruncatedRequestBodyIsAReset) {
  serve([](Exchange&, bool) {});
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  peer.finish_sending();
  peer.until_closed();
  first().wait();
  EXPECT_EQ(first().log, "reset closed|");
}

TEST_F(H1Server, AnAnswerShorterThanItsLengthIsNeverWhole) {
  serve(
      [](Exchange& exchange, bool) { exchange.answer(200, {{"content-length", "10"}}, "short"); });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_LT(peer.until_closed().find("short") == std::string::npos ? 0U : 5U, 10U);
  first().wait();
  EXPECT_EQ(first().log, "reset cancelled|");
}

TEST_F(H1Server, WhatIsSentBeyondTheLengthIsDropped) {
  serve(
      [](Exchange& exchange, bool) { exchange.answer(200, {{"content-length", "3"}}, "abcdef"); });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string all = peer.until_closed();
  EXPECT_EQ(all.substr(all.find("\r\n\r\n") + 4), "abc");
}

TEST_F(H1Server, AResetAfterTheHeadCutsTheBody) {
  std::promise<Exchange*> arrived;
  serve([&](Exchange& exchange, bool) {
    exchange.head_only(200, {}, false);
    exchange.data("part", false);
    arrived.set_value(&exchange);
  });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Exchange* const exchange = arrived.get_future().get();
  peer.until("part\r\n");
  on_worker([&] { exchange->sender->reset(StreamError::kClosed); });
  EXPECT_EQ(peer.until_closed(), "");
}

TEST_F(H1Server, LimitsAreAnsweredAndCounted) {
  limits.max_head_bytes = 2000;
  limits.max_target_bytes = 500;
  limits.max_headers = 10;
  limits.max_body_bytes = 100;
  serve([](Exchange&, bool) {});
  const auto answer_to = [&](const std::string& request) {
    Peer peer = connect();
    peer.send(request);
    return peer.until_closed().substr(0, 12);
  };
  const std::string start = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_EQ(answer_to(start + "X: " + std::string(3000, 'x') + "\r\n\r\n"), "HTTP/1.1 431");
  std::string many;
  for (int i = 0; i < 12; ++i) many += "x: y\r\n";
  EXPECT_EQ(answer_to(start + many + "\r\n"), "HTTP/1.1 431");
  EXPECT_EQ(answer_to("GET /" + std::string(600, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n"),
            "HTTP/1.1 414");
  EXPECT_EQ(answer_to(start + "Content-Length: 101\r\n\r\n"), "HTTP/1.1 413");
  EXPECT_EQ(answer_to(start + "Transfer-Encoding: chunked\r\n\r\n80\r\n" + std::string(128, 'x') +
                      "\r\n"),
            "HTTP/1.1 413");
  EXPECT_EQ(answer_to("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), "HTTP/1.1 505");
  EXPECT_EQ(answer_to("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"), "HTTP/1.1 501");
  EXPECT_EQ(answer_to("GET / HTTP/1.1\n\n"), "HTTP/1.1 400");
  EXPECT_EQ(answer_to(start + "Transfer-Encoding: chunked\r\n\r\nzz\r\n"), "HTTP/1.1 400");
  EXPECT_EQ(count("heddle_http_limit_hits_total", "head_bytes"), 1U);
  EXPECT_EQ(count("heddle_http_limit_hits_total", "body_bytes"), 2U);
  EXPECT_EQ(count("heddle_http_bad_requests_total", "bare_lf"), 1U);
}

TEST_F(H1Server, ALargeHeadGrowsItsBlock) {
  serve([](Exchange& exchange, bool) {
    exchange.answer(200, {}, exchange.head->headers.get("x-39").value_or(""));
  });
  Peer peer = connect();
  std::string request = "GET / HTTP/1.1\r\nHost: a\r\n";
  for (int i = 0; i < 40; ++i)
    request +=
        "X-" + std::to_string(i) + ": " + std::string(1200, 'x') + std::to_string(i) + "\r\n";
  peer.send(request.substr(0, 20000));
  on_worker([] {});
  peer.send(request.substr(20000) + "\r\n");
  EXPECT_NE(peer.until("\r\n0\r\n\r\n").find("xx39"), std::string::npos);
}

TEST_F(H1Server, ASlowHeadIsA408AndAnIdleConnectionCloses) {
  limits.head_timeout = 30ms;
  limits.idle_timeout = 60ms;
  serve(answer_path);
  Peer slow = connect();
  Peer idle = connect();
  slow.send("GET / HT");
  EXPECT_EQ(slow.until_closed().substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(idle.until_closed(), "");
  EXPECT_EQ(count("heddle_http_limit_hits_total", "head_timeout"), 1U);
}

TEST_F(H1Server, ASlowBodyIsA408) {
  limits.body_timeout = 30ms;
  serve([](Exchange&, bool) {});
  Peer peer = connect();
  peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(peer.until_closed().substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(first().log, "reset timeout|");
}

TEST_F(H1Server, PausingStopsTheBodyAndResumingGoesOn) {
  serve([](Exchange& exchange, bool) {
    exchange.sender->pause_receiving();
    exchange.on_data_hook = [&exchange](Buffer&, bool end) {
      if (end) exchange.answer(200, {}, std::to_string(exchange.body.size()));
    };
  });
  Peer peer = connect();
  std::thread sender([&] {
    peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" +
              std::string(3'000'000, 'x'));
  });
  while (true) {
    bool there = false;
    on_worker([&] { there = !handler.exchanges.empty(); });
    if (there) break;
  }
  on_worker([&] {
    EXPECT_EQ(handler.exchanges[0]->body, "");
    handler.exchanges[0]->sender->resume_receiving();
  });
  peer.until("\r\n0\r\n\r\n");
  sender.join();
  on_worker([&] { EXPECT_EQ(handler.exchanges[0]->body.size(), 3'000'000U); });
}

TEST_F(H1Server, AboveTheWatermarkUntilThePeerReads) {
  std::string large;
  large.resize(20'000'000, 'x');
  serve([&](Exchange& exchange, bool) {
    exchange.answer(200, {{"content-length", std::to_string(large.size())}}, large);
    EXPECT_TRUE(exchange.sender->above_watermark());
  });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string all = peer.until_closed();
  EXPECT_EQ(all.size() - all.find("\r\n\r\n") - 4, large.size());
  first().wait();
  EXPECT_EQ(first().log, "writable|complete|");
}

TEST_F(H1Server, DrainFinishesWhatIsInFlightAndClosesIdleConnections) {
  std::promise<Exchange*> arrived;
  serve([&](Exchange& exchange, bool) { arrived.set_value(&exchange); });
  Peer idle = connect();
  Peer busy = connect();
  busy.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Exchange* const exchange = arrived.get_future().get();
  on_worker([&] {
    listener->stop_accepting();
    listener->drain();
  });
  EXPECT_EQ(idle.until_closed(), "");
  on_worker([&] { exchange->answer(200, {}, "done"); });
  const std::string all = busy.until_closed();
  EXPECT_NE(all.find("connection: close"), std::string::npos);
  EXPECT_NE(all.find("done"), std::string::npos);
  on_worker([&] { EXPECT_EQ(listener->connections(), 0U); });
}

TEST_F(H1Server, AbortResetsExchanges) {
  std::promise<Exchange*> arrived;
  serve([&](Exchange& exchange, bool) { arrived.set_value(&exchange); });
  Peer peer = connect();
  peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  Exchange* const exchange = arrived.get_future().get();
  on_worker([&] { listener->abort(); });
  exchange->wait();
  EXPECT_EQ(exchange->log, "reset closed|");
  peer.until_closed();
}

TEST_F(H1Server, ConnectionsAboveTheCapAreClosed) {
  limits.max_connections = 1;
  serve(answer_path);
  Peer first = connect();
  first.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  first.until("/1");
  Peer second = connect();
  EXPECT_EQ(second.until_closed(), "");
  EXPECT_EQ(count("heddle_http_limit_hits_total", "max_connections"), 1U);
}

TEST(ReserveAddress, NoOtherReservationGetsAFreePortThatIsHeld) {
  std::vector<ReservedAddress> held;
  std::set<std::string> addresses;
  for (int round = 0; round < 200; ++round) {
    auto reserved = reserve_address("127.0.0.1:0");
    ASSERT_TRUE(reserved);
    addresses.insert(reserved->address);
    held.push_back(std::move(*reserved));
  }
  EXPECT_EQ(addresses.size(), held.size());
  EXPECT_FALSE(addresses.contains("127.0.0.1:0"));
}

TEST(ReserveAddress, RefusesWhatIsTakenOrNoAddress) {
  const auto listening = net::bind_socket("127.0.0.1:0", net::Sharing::kShared);
  ASSERT_TRUE(listening);
  ASSERT_EQ(listen(listening->get(), 1), 0);
  EXPECT_FALSE(reserve_address(net::local_address(listening->get()).to_string()));
  EXPECT_FALSE(reserve_address("nonsense"));
}

}  // namespace
}  // namespace heddle::http
