// Addresses, the worker's scopes, the blocking pool, the resolver and TCP streams over loopback.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/log.h"
#include "net/acceptor.h"
#include "net/address.h"
#include "net/blocking_pool.h"
#include "net/event_loop.h"
#include "net/resolver.h"
#include "net/socket.h"
#include "net/tcp_stream.h"
#include "net/test_worker.h"
#include "net/timer.h"
#include "net/timer_queue.h"
#include "net/worker.h"

namespace heddle::net {
namespace {

using namespace std::chrono_literals;

TEST(Address, Parses) {
  EXPECT_EQ(parse_host_port("127.0.0.1:8080")->host, "127.0.0.1");
  EXPECT_EQ(parse_host_port(":8080")->host, "");
  EXPECT_EQ(parse_host_port(":8080")->port, 8080);
  EXPECT_EQ(parse_host_port("[::1]:80")->host, "::1");
  EXPECT_EQ(parse_host_port("backend.example:9000")->host, "backend.example");
  for (const char* bad :
       {"", "127.0.0.1", "::1:80", "[::1]", "[::1]80", "a:", "a:b", "a:65536", "a:-1", "[zz]:1"}) {
    EXPECT_FALSE(parse_host_port(bad)) << bad;
  }
}

TEST(Address, Formats) {
  EXPECT_EQ(SocketAddress::numeric("10.1.2.3", 80)->to_string(), "10.1.2.3:80");
  EXPECT_EQ(SocketAddress::numeric("::1", 80)->to_string(), "[::1]:80");
  EXPECT_EQ(SocketAddress::numeric("::ffff:10.1.2.3", 80)->to_string(), "10.1.2.3:80");
  EXPECT_FALSE(SocketAddress::numeric("localhost", 80));
}

TEST(Address, OverlapsWhereAConnectionMayComeToBoth) {
  for (const auto& [one, other] : {std::pair("127.0.0.1:80", "127.0.0.1:80"),
                                   {"0.0.0.0:80", "127.0.0.1:80"},
                                   {":80", "10.0.0.1:80"},
                                   {":80", "[::1]:80"},
                                   {":80", "0.0.0.0:80"},
                                   {"[::]:80", "[::1]:80"}}) {
    EXPECT_TRUE(overlap(one, other)) << one << " " << other;
    EXPECT_TRUE(overlap(other, one)) << one << " " << other;
  }
  for (const auto& [one, other] : {std::pair("127.0.0.1:80", "127.0.0.1:81"),
                                   {"127.0.0.1:80", "127.0.0.2:80"},
                                   {"0.0.0.0:80", "[::1]:80"},
                                   {"[::]:80", "0.0.0.0:80"},
                                   {":80", ":81"}}) {
    EXPECT_FALSE(overlap(one, other)) << one << " " << other;
  }
}

TEST(Socket, AnAddressInUseIsNamed) {
  const auto first = bind_socket("127.0.0.1:0", Sharing::kExclusive);
  ASSERT_TRUE(first);
  ASSERT_EQ(::listen(first->get(), 1), 0);
  const std::string address = local_address(first->get()).to_string();
  const auto second = bind_socket(address, Sharing::kExclusive);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::kConflict);
  EXPECT_NE(second.error().message.find(address + " is in use"), std::string::npos);
}

class WorkerTest : public ::testing::Test, protected testing::TestWorker {};

struct Recorder final : Worker::Flushable {
  explicit Recorder(std::vector<std::string>& out) : events(out) {}
  void flush() override { events.emplace_back("flush"); }
  std::vector<std::string>& events;
};

TEST_F(WorkerTest, DeferredWorkRunsAfterTheScopeAndFlushesLast) {
  std::vector<std::string> events;
  Recorder recorder(events);
  on_worker([&] {
    EXPECT_EQ(Worker::current(), &worker);
    const Worker::Scope inner(worker);
    worker.queue_flush(recorder);
    worker.queue_flush(recorder);
    worker.defer([&] {
      events.emplace_back("deferred");
      worker.defer([&] { events.emplace_back("deferred again"); });
    });
    events.emplace_back("event");
  });
  on_worker([] {});
  EXPECT_EQ(events, (std::vector<std::string>{"event", "deferred", "deferred again", "flush"}));
}

TEST_F(WorkerTest, AForgottenFlushIsNotCalled) {
  std::vector<std::string> events;
  on_worker([&] {
    Recorder recorder(events);
    worker.queue_flush(recorder);
    worker.forget_flush(recorder);
  });
  on_worker([] {});
  EXPECT_TRUE(events.empty());
}

TEST_F(WorkerTest, TimersFireOnTheWorker) {
  std::promise<Worker*> fired;
  Timer timer;
  Nanoseconds start = 0;
  on_worker([&] {
    start = monotonic_now();
    timer.arm(worker.timers(), 2ms, [&] { fired.set_value(Worker::current()); });
  });
  EXPECT_EQ(fired.get_future().get(), &worker);
  EXPECT_GE(monotonic_now() - start, 2'000'000);
}

TEST_F(WorkerTest, TheResolverAsksOnceAndCaches) {
  std::atomic<int> lookups = 0;
  BlockingPool pool(1);
  std::unique_ptr<Resolver> resolver;
  std::promise<void> done;
  int answers = 0;
  const auto check = [&](const Result<Resolver::Addresses>& result) {
    ASSERT_TRUE(result);
    EXPECT_EQ(result->front().to_string(), "127.0.0.9:" + std::to_string(80 + answers));
    if (++answers == 3) done.set_value();
  };
  on_worker([&] {
    resolver = std::make_unique<Resolver>(
        worker, pool, [&](const std::string&) -> Result<Resolver::Addresses> {
          ++lookups;
          return Resolver::Addresses{*SocketAddress::numeric("127.0.0.9", 0)};
        });
    resolver->resolve("name", 80, check);
    resolver->resolve("name", 81, [&](const Result<Resolver::Addresses>& result) {
      check(result);
      resolver->resolve("name", 82, check);
    });
  });
  done.get_future().wait();
  EXPECT_EQ(lookups, 1);
  on_worker([&] { resolver.reset(); });
}

TEST_F(WorkerTest, TheResolverFailsWithTheName) {
  BlockingPool pool(1);
  std::unique_ptr<Resolver> resolver;
  std::promise<std::string> message;
  on_worker([&] {
    resolver = std::make_unique<Resolver>(worker, pool);
    resolver->resolve("127.0.0.7", 1,
                      [](const Result<Resolver::Addresses>& result) { EXPECT_TRUE(result); });
    resolver->resolve("no-such-host.invalid", 80, [&](const Result<Resolver::Addresses>& result) {
      message.set_value(result.error().message);
    });
  });
  EXPECT_NE(message.get_future().get().find("no-such-host.invalid"), std::string::npos);
  on_worker([&] { resolver.reset(); });
}

// Accepts one connection and echoes until the peer finishes.
class Echo final : public Acceptor::Observer, public TcpStream::Observer {
 public:
  explicit Echo(Worker& worker) : stream_(worker, *this) {}
  void on_accept(Fd fd, const SocketAddress&) override {
    stream_.adopt(std::move(fd));
    stream_.read(buffer_, sizeof buffer_);
  }
  void on_connect(int) override {}
  void on_read(std::size_t count) override {
    const iovec part{buffer_, count};
    EXPECT_EQ(stream_.send({&part, 1}), static_cast<ssize_t>(count));
    stream_.read(buffer_, sizeof buffer_);
  }
  void on_read_end(int error) override {
    EXPECT_EQ(error, 0);
    stream_.close();
  }
  void on_write_ready() override {}

 private:
  TcpStream stream_;
  char buffer_[64];
};

class EchoClient final : public TcpStream::Observer {
 public:
  EchoClient(Worker& worker, const SocketAddress& address) : stream_(worker, *this) {
    stream_.connect(address);
  }
  void on_connect(int error) override {
    EXPECT_EQ(error, 0);
    stream_.read(buffer_, sizeof buffer_);
    stream_.wait_writable();
  }
  void on_write_ready() override {
    iovec part{const_cast<char*>("hello"), 5};
    EXPECT_EQ(stream_.send({&part, 1}), 5);
  }
  void on_read(std::size_t count) override {
    got_.append(buffer_, count);
    if (got_.size() == 5) stream_.shutdown_send();
    stream_.read(buffer_, sizeof buffer_);
  }
  void on_read_end(int) override { done_.set_value(got_); }
  std::string wait() { return done_.get_future().get(); }

 private:
  TcpStream stream_;
  char buffer_[64];
  std::string got_;
  std::promise<std::string> done_;
};

TEST_F(WorkerTest, StreamsConnectReadWriteAndHalfClose) {
  auto listening = listen_socket("127.0.0.1:0");
  ASSERT_TRUE(listening);
  const SocketAddress address = local_address(listening->get());
  std::unique_ptr<Echo> echo;
  std::unique_ptr<Acceptor> acceptor;
  std::unique_ptr<EchoClient> client;
  on_worker([&] {
    echo = std::make_unique<Echo>(worker);
    acceptor = std::make_unique<Acceptor>(worker, std::move(*listening), *echo);
    acceptor->start();
    client = std::make_unique<EchoClient>(worker, address);
  });
  EXPECT_EQ(client->wait(), "hello");
  on_worker([&] {
    client.reset();
    acceptor.reset();
    echo.reset();
  });
}

// Says hello to whoever comes, and hangs up.
class Greeter final : public Acceptor::Observer {
 public:
  void on_accept(Fd fd, const SocketAddress&) override { ::send(fd.get(), "x", 1, MSG_NOSIGNAL); }
};

enum class Met : std::uint8_t { kGreeting, kClosedDoor, kReset };

Met meet(const SocketAddress& address) {
  const Fd fd(::socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{.tv_sec = 0, .tv_usec = 200'000};  // for a SYN that is dropped
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (::connect(fd.get(), address.data(), address.size()) != 0) {
    return errno == ECONNREFUSED || errno == EINPROGRESS ? Met::kClosedDoor : Met::kReset;
  }
  char greeting = 0;
  return ::recv(fd.get(), &greeting, 1, 0) == 1 ? Met::kGreeting : Met::kReset;
}

// The time between the last accept and the close is short: it takes many connections at the same
// time, and some rounds, to hit it.
TEST_F(WorkerTest, AnAcceptorThatStopsResetsNobody) {
  for (int round = 0; round < 20; ++round) {
    auto listening = listen_socket(round % 2 == 0 ? "127.0.0.1:0" : "[::1]:0");
    ASSERT_TRUE(listening);
    const SocketAddress address = local_address(listening->get());
    Greeter greeter;
    std::unique_ptr<Acceptor> acceptor;
    on_worker([&] {
      acceptor = std::make_unique<Acceptor>(worker, std::move(*listening), greeter);
      acceptor->start();
    });
    std::atomic<int> greeted{0};
    std::atomic<int> resets{0};
    std::atomic<int> left{8};
    std::vector<std::jthread> clients;
    for (int i = left; i > 0; --i) {
      clients.emplace_back([&] {
        Met met = Met::kGreeting;
        while ((met = meet(address)) == Met::kGreeting) ++greeted;
        if (met == Met::kReset) ++resets;
        --left;
      });
    }
    while (greeted < 200 && left > 0) std::this_thread::sleep_for(1ms);
    on_worker([&] { acceptor->stop(); });
    clients.clear();
    EXPECT_EQ(resets, 0) << "round " << round;
    bool open = true;
    for (int i = 0; i < 1000 && open; ++i) {
      on_worker([&] { open = acceptor->open(); });
      if (open) std::this_thread::sleep_for(1ms);
    }
    EXPECT_FALSE(open);
    on_worker([&] { acceptor.reset(); });
  }
}

// Reads what a plain socket sent before the worker looked for the first time.
class LateReader final : public TcpStream::Observer {
 public:
  LateReader(Worker& worker, Fd fd) : stream_(worker, *this) { stream_.adopt(std::move(fd)); }
  void start() { stream_.read(buffer_, sizeof buffer_); }
  void on_connect(int) override {}
  void on_write_ready() override {}
  void on_read(std::size_t count) override {
    got_.append(buffer_, count);
    start();
  }
  void on_read_end(int error) override { done_.set_value(got_ + "/" + std::to_string(error)); }
  std::string wait() { return done_.get_future().get(); }

 private:
  TcpStream stream_;
  char buffer_[64];
  std::string got_;
  std::promise<std::string> done_;
};

TEST_F(WorkerTest, AnEndThatCameTogetherWithTheLastBytesIsSeen) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  ASSERT_EQ(::write(pair[1], "last words", 10), 10);
  ::close(pair[1]);
  std::unique_ptr<LateReader> reader;
  on_worker([&] {
    reader = std::make_unique<LateReader>(worker, Fd(pair[0]));
    reader->start();
  });
  EXPECT_EQ(reader->wait(), "last words/0");
  on_worker([&] { reader.reset(); });
}

TEST_F(WorkerTest, MoreThanOneReadOfBytesComesInPieces) {
  int pair[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
  const std::string long_text(1000, 'x');
  ASSERT_EQ(::write(pair[1], long_text.data(), long_text.size()), 1000);
  std::unique_ptr<LateReader> reader;
  on_worker([&] { reader = std::make_unique<LateReader>(worker, Fd(pair[0])); });
  on_worker([&] { reader->start(); });  // the event came before anybody read
  ::close(pair[1]);
  EXPECT_EQ(reader->wait(), long_text + "/0");
  on_worker([&] { reader.reset(); });
}

class CountingWatcher final : public EventLoop::Watcher {
 public:
  explicit CountingWatcher(std::function<void()> action) : action_(std::move(action)) {}
  void on_events(std::uint32_t) override {
    ++events;
    action_();
  }
  int events = 0;

 private:
  std::function<void()> action_;
};

TEST_F(WorkerTest, ARemovedWatcherHearsNothingOfTheBatchThatIsUnderWay) {
  int one[2];
  int two[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, one), 0);
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, two), 0);
  std::unique_ptr<CountingWatcher> first;
  std::unique_ptr<CountingWatcher> second;
  on_worker([&] {
    const auto remove_both = [&] {
      worker.loop().remove(one[0], *first);
      worker.loop().remove(two[0], *second);
    };
    first = std::make_unique<CountingWatcher>(remove_both);
    second = std::make_unique<CountingWatcher>(remove_both);
    ASSERT_EQ(::write(one[1], "x", 1), 1);
    ASSERT_EQ(::write(two[1], "x", 1), 1);
    ASSERT_EQ(worker.loop().add(one[0], EPOLLIN, *first), 0);
    ASSERT_EQ(worker.loop().add(two[0], EPOLLIN, *second), 0);
  });
  int heard = 0;
  while (heard == 0) on_worker([&] { heard = first->events + second->events; });
  on_worker([&] { heard = first->events + second->events; });
  EXPECT_EQ(heard, 1);
  for (const int fd : {one[0], one[1], two[0], two[1]}) ::close(fd);
}

}  // namespace
}  // namespace heddle::net
