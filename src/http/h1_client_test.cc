// The client side over loopback, against servers written by hand.
#include <gtest/gtest.h>

#include <string>

#include "http/test_support.h"

namespace heddle::http {
namespace {

using namespace std::chrono_literals;
using testing::Peer;
using testing::PeerListener;
using testing::Recorder;

class H1Client : public testing::WorkerFixture {
 public:
  ~H1Client() override {
    on_worker([&] { pool.reset(); });
  }

 protected:
  H1Client() {
    on_worker([&] { pool = ClientPool::create(worker, blocking, registry); });
  }
  // Sends a head (and a body) on a new stream; any thread.
  ClientStream& request(Recorder& recorder, const std::string& method, std::string_view body = {},
                        bool end = true,
                        const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    ClientStream* stream = nullptr;
    on_worker([&] {
      stream = &pool->open({.endpoint = endpoint}, limits, recorder);
      const HeadPtr head = make_head();
      for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
               {":authority", "up"}, {":path", "/p"}, {":method", method}, {":scheme", "http"}}) {
        head->headers.add(name, value);
      }
      for (const auto& [name, value] : headers) head->headers.add(name, value);
      stream->send_head(head->headers, end && body.empty());
      if (!body.empty()) send(*stream, body, end);
      recorder.log += recorder.log.empty() ? "" : "within the call!|";
    });
    return *stream;
  }
  static void send(ClientStream& stream, std::string_view text, bool end) {
    Buffer buffer;
    buffer.append(text);
    stream.send_data(std::move(buffer), end);
  }

  net::BlockingPool blocking{1};
  PeerListener server;
  std::string endpoint = server.address();
  ClientLimits limits;
  std::unique_ptr<ClientPool> pool;
};

constexpr std::string_view kOk = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

TEST_F(H1Client, KeepsAndReusesTheLastConnection) {
  Recorder first;
  ClientStream& stream = request(first, "GET");
  Peer peer = server.accept();
  EXPECT_EQ(peer.head(), "GET /p HTTP/1.1\r\nhost: up\r\n\r\n");
  on_worker([&] {
    EXPECT_FALSE(stream.upstream().reused);
    EXPECT_EQ(stream.upstream().remote_address, endpoint);
  });
  peer.send(kOk);
  first.wait();
  EXPECT_EQ(first.log, "head 200|end|complete|");
  EXPECT_EQ(first.body, "ok");
  Recorder second;
  ClientStream& again = request(second, "POST", "body", true, {{"content-length", "4"}});
  on_worker([&] { EXPECT_TRUE(again.upstream().reused); });
  EXPECT_EQ(peer.until("body"), "POST /p HTTP/1.1\r\nhost: up\r\ncontent-length: 4\r\n\r\nbody");
  peer.send("HTTP/1.1 204 No Content\r\n\r\n");
  second.wait();
  EXPECT_EQ(second.log, "head 204 end|complete|");
  on_worker([&] { EXPECT_EQ(pool->active(), 0U); });
}

TEST_F(H1Client, ChunkedBothWaysWithTrailersAndInformational) {
  Recorder recorder;
  ClientStream& stream = request(recorder, "POST", "abc", false);
  Peer peer = server.accept();
  peer.until("\r\nabc\r\n");
  on_worker([&] { send(stream, "", true); });
  EXPECT_EQ(peer.until("0\r\n\r\n"), "0\r\n\r\n");
  peer.send(
      "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3\r\nxyz\r\n0\r\nT: 1\r\n\r\n");
  recorder.wait();
  EXPECT_EQ(recorder.log, "1xx 103|head 200|t=1|complete|");
  EXPECT_EQ(recorder.body, "xyz");
}

TEST_F(H1Client, HeadAnswersHaveNoBody) {
  Recorder recorder;
  request(recorder, "HEAD");
  Peer peer = server.accept();
  peer.head();
  peer.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200 end|complete|");
}

TEST_F(H1Client, ABodyUntilClose) {
  Recorder recorder;
  request(recorder, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send("HTTP/1.1 200 OK\r\n\r\nhello");
  peer.close();
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200|end|complete|");
  EXPECT_EQ(recorder.body, "hello");
}

TEST_F(H1Client, EndOfFileInsideABodyIsAReset) {
  for (const char* head :
       {"Content-Length: 10\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"}) {
    Recorder recorder;
    request(recorder, "GET");
    Peer peer = server.accept();
    peer.head();
    peer.send(std::string("HTTP/1.1 200 OK\r\n") + head);
    peer.close();
    recorder.wait();
    EXPECT_EQ(recorder.log, "head 200|reset closed|");
  }
}

TEST_F(H1Client, AStaleConnectionIsReplayedOnAFreshOne) {
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  first.wait();
  Recorder second;
  request(second, "PUT", "data", true, {{"content-length", "4"}});
  peer.until("data");
  peer.close();  // without an answer: the request may go out again
  Peer fresh = server.accept();
  EXPECT_EQ(fresh.until("data"), "PUT /p HTTP/1.1\r\nhost: up\r\ncontent-length: 4\r\n\r\ndata");
  fresh.send(kOk);
  second.wait();
  EXPECT_EQ(second.log, "head 200|end|complete|");
}

TEST_F(H1Client, APostIsNotReplayed) {
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  first.wait();
  Recorder second;
  request(second, "POST", "data", true, {{"content-length", "4"}});
  peer.until("data");
  peer.close();
  second.wait();
  EXPECT_EQ(second.log, "reset closed|");
}

TEST_F(H1Client, APartialResponseIsNotReplayed) {
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  first.wait();
  Recorder second;
  request(second, "GET");
  peer.head();
  peer.send("HTTP/1.1 20");
  peer.close();
  second.wait();
  EXPECT_EQ(second.log, "reset closed|");
}

TEST_F(H1Client, APostTakesNoConnectionThatThePeerClosed) {
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  first.wait();
  peer.close();
  Recorder second;
  request(second, "POST", "data", true, {{"content-length", "4"}});
  Peer fresh = server.accept();
  fresh.until("data");
  fresh.send(kOk);
  second.wait();
  EXPECT_EQ(second.log, "head 200|end|complete|");
}

TEST_F(H1Client, BytesAfterAResponseCloseTheConnection) {
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(std::string(kOk) + "HTTP/1.1 200 OK\r\n\r\nsmuggled");
  first.wait();
  EXPECT_EQ(first.log, "head 200|end|complete|");
  peer.until_closed();
  Recorder second;
  request(second, "GET");
  Peer fresh = server.accept();
  fresh.head();
  fresh.send(kOk);
  second.wait();
}

TEST_F(H1Client, AResponseBeforeTheRequestEnded) {
  Recorder recorder;
  ClientStream& stream = request(recorder, "POST", "abc", false);
  Peer peer = server.accept();
  peer.until("abc");
  peer.send(kOk);
  while (true) {
    bool ended = false;
    on_worker([&] { ended = recorder.ended; });
    if (ended) break;
  }
  on_worker([&] {
    EXPECT_EQ(recorder.log, "head 200|end|");
    send(stream, "def", true);
  });
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200|end|complete|");
}

TEST_F(H1Client, AnUpgradeMakesATunnel) {
  Recorder recorder;
  ClientStream& stream =
      request(recorder, "GET", {}, false, {{"connection", "upgrade"}, {"upgrade", "echo"}});
  Peer peer = server.accept();
  EXPECT_EQ(peer.head(),
            "GET /p HTTP/1.1\r\nhost: up\r\nupgrade: echo\r\nconnection: upgrade\r\n\r\n");
  peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhi");
  recorder.on_data_hook = nullptr;
  while (true) {
    bool there = false;
    on_worker([&] { there = recorder.body == "hi"; });
    if (there) break;
  }
  on_worker([&] {
    EXPECT_TRUE(recorder.head->upgrade);
    send(stream, "yo", true);
  });
  EXPECT_EQ(peer.until_closed(), "yo");
  peer.send(" bye");
  peer.close();
  recorder.wait();
  EXPECT_EQ(recorder.body, "hi bye");
  EXPECT_EQ(recorder.log, "head 101|end|complete|");
}

TEST_F(H1Client, ARefusedUpgrade) {
  Recorder recorder;
  request(recorder, "GET", {}, false, {{"connection", "upgrade"}, {"upgrade", "echo"}});
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  recorder.wait();
  EXPECT_EQ(recorder.log, "head 200|end|complete|");
}

TEST_F(H1Client, ProtocolErrorsAndLimits) {
  limits.max_head_bytes = 1000;
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"garbage garbage\r\n\r\n", "reset protocol error|"},
      {"HTTP/1.1 200 OK\nX: y\r\n\r\n", "reset protocol error|"},
      {"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
       "reset protocol error|"},
      {"HTTP/1.1 200 OK\r\nX: " + std::string(2000, 'x') + "\r\n\r\n", "reset too large|"},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
       "head 200|reset protocol error|"},
  };
  for (const auto& [bytes, expected] : cases) {
    Recorder recorder;
    request(recorder, "GET");
    Peer peer = server.accept();
    peer.head();
    peer.send(bytes);
    recorder.wait();
    EXPECT_EQ(recorder.log, expected) << bytes;
  }
}

TEST_F(H1Client, RefusedConnectionsAreEventsOfTheirOwn) {
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
  endpoint = "no-such-host.invalid:80";
  Recorder unknown;
  request(unknown, "GET");
  unknown.wait();
  EXPECT_NE(unknown.reset_detail.find("no-such-host.invalid"), std::string::npos);
}

TEST_F(H1Client, TheConnectionLimitIsNamed) {
  limits.max_connections = 1;
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  Recorder second;
  request(second, "GET");
  second.wait();
  EXPECT_EQ(second.log, "reset overflow|");
  EXPECT_NE(second.reset_detail.find("max_connections"), std::string::npos);
  peer.send(kOk);
  first.wait();
}

TEST_F(H1Client, IdleConnectionsExpireAndAreForgotten) {
  limits.idle_timeout = 20ms;
  Recorder first;
  request(first, "GET");
  Peer peer = server.accept();
  peer.head();
  peer.send(kOk);
  first.wait();
  EXPECT_EQ(peer.until_closed(), "");
  limits.idle_timeout = 60s;
  Recorder second;
  request(second, "GET");
  Peer other = server.accept();
  other.head();
  other.send(kOk);
  second.wait();
  on_worker([&] { pool->forget(endpoint); });
  EXPECT_EQ(other.until_closed(), "");
}

TEST_F(H1Client, AResetStreamHearsNothingMore) {
  Recorder recorder;
  ClientStream& stream = request(recorder, "GET");
  Peer peer = server.accept();
  peer.head();
  on_worker([&] { stream.reset(StreamError::kCancelled); });
  peer.until_closed();
  EXPECT_EQ(recorder.log, "");
  on_worker([&] { EXPECT_EQ(pool->active(), 0U); });
}

}  // namespace
}  // namespace heddle::http
