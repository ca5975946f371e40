// Any bytes as what an upstream of HTTP/2 answers, in pieces as the first byte says, on every
// connection that the client opens for two requests: both end, whatever comes.
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "http/client.h"
#include "net/address.h"
#include "net/blocking_pool.h"
#include "net/socket.h"
#include "net/worker.h"

namespace {

using namespace heddle;

constexpr int kPatience = 5000;  // ms; longer is a hang

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// Counts what ends, and that nothing comes afterwards.
class Answer final : public http::Receiver {
 public:
  void on_informational(http::HeadPtr head) override {
    require(!over_ && head->status() < 200, "1xx before the end");
  }
  void on_head(http::HeadPtr head, bool /*end*/) override {
    require(!over_ && !std::exchange(has_head_, true) && head->status() >= 101, "one head");
  }
  void on_data(http::Buffer& /*data*/, bool /*end*/) override {
    require(!over_ && has_head_, "data behind the head");
  }
  void on_trailers(http::HeadPtr /*trailers*/) override {
    require(!over_ && has_head_, "trailers behind the head");
  }
  void on_reset(http::StreamError /*error*/, std::string_view /*detail*/) override { end(); }
  void on_writable() override { require(!over_, "nothing behind the end"); }
  void on_complete() override { end(); }
  bool is_over() const { return over_; }

 private:
  void end() { require(!std::exchange(over_, true), "one end"); }
  bool has_head_ = false;
  bool over_ = false;
};

struct Client {
  Client() {
    const auto any = net::SocketAddress::numeric("127.0.0.1", 0);
    require(::bind(listener.get(), any->data(), any->size()) == 0, "bind");
    require(::listen(listener.get(), 64) == 0, "listen");
    target = {.endpoint = net::local_address(listener.get()).to_string(),
              .protocol = http::ClientProtocol::kHttp2};
    worker.start();
    on_worker([this] { pool = http::ClientPool::create(worker, blocking, registry); });
  }
  template <typename Task>
  void on_worker(Task task) {
    std::promise<void> done;
    worker.post([&] {
      task();
      done.set_value();
    });
    done.get_future().wait();
  }
  void ask(Answer& answer, const char* method, std::string_view body) {
    http::ClientStream& stream = pool->open(target, limits, answer);
    const http::HeadPtr head = http::make_head();
    head->headers.add(":method", method);
    head->headers.add(":scheme", "http");
    head->headers.add(":authority", "up");
    head->headers.add(":path", "/");
    stream.send_head(head->headers, body.empty());
    if (body.empty()) return;
    http::Buffer data;
    data.append(body);
    stream.send_data(std::move(data), true);
  }

  std::unique_ptr<Log> log = Log::null();
  metrics::Registry registry;
  net::BlockingPool blocking{1};
  net::Worker worker{0, *log};
  net::Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  http::ClientTarget target;
  http::ClientLimits limits;
  std::unique_ptr<http::ClientPool> pool;
};

// libFuzzer's alarm interrupts calls that wait.
bool wait_for(const net::Fd& fd, short events) {
  pollfd ready{.fd = fd.get(), .events = events, .revents = 0};
  int got = -1;
  while ((got = ::poll(&ready, 1, kPatience)) < 0 && errno == EINTR) {
  }
  return got == 1;
}

void read_to_end(const net::Fd& fd) {
  for (;;) {
    require(wait_for(fd, POLLIN), "the connection ends");
    char buffer[65536];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

void serve(const net::Fd& fd, std::string_view bytes, std::size_t piece) {
  while (!bytes.empty()) {
    const std::string_view now = bytes.substr(0, piece);
    const ssize_t sent = ::send(fd.get(), now.data(), now.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) break;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  ::shutdown(fd.get(), SHUT_WR);
  read_to_end(fd);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Client& client = *new Client;  // NOLINT: lives as long as the process
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = data[0] == 0 ? std::max<std::size_t>(bytes.size(), 1) : data[0];
  Answer first;
  Answer second;
  client.on_worker([&] {
    client.ask(first, "GET", {});
    client.ask(second, "POST", "body");
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  for (bool over = false; !over;) {
    require(std::chrono::steady_clock::now() < deadline, "both requests end");
    pollfd ready{.fd = client.listener.get(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, 1);
    const net::Fd fd(::accept4(client.listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.get() >= 0) serve(fd, bytes, piece);
    client.on_worker([&] { over = first.is_over() && second.is_over(); });
  }
  return 0;
}
