// Any bytes as what a client of HTTP/2 sends, in pieces as the first byte says: the connection ends
// by itself once the client has nothing more to say, and every exchange that began has ended.
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
#include <set>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/metrics.h"
#include "http/server.h"
#include "net/address.h"
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

// Answers with what it got: bodies and trailers as they come, upgrades by switching.
class Echo final : public http::ServerHandler {
 public:
  http::Receiver* on_request(http::Sender& sender, const http::ConnectionInfo& /*connection*/,
                             http::HeadPtr head, bool end) override {
    auto stream = std::make_unique<Stream>(*this, sender);
    Stream& added = *stream;
    open_.insert(std::move(stream));
    added.begin(*head, end);
    return &added;
  }
  std::string on_bad_request(const http::ConnectionInfo& /*connection*/, int /*status*/,
                             std::string_view /*reason*/) override {
    return "bad";
  }
  bool is_idle() const { return open_.empty(); }

 private:
  class Stream final : public http::Receiver {
   public:
    Stream(Echo& owner, http::Sender& sender) : owner_(owner), sender_(sender) {}
    void begin(const http::Head& request, bool end) {
      const http::HeadPtr head = http::make_head();
      head->headers.add_view(":status", request.upgrade ? "101" : "200");
      head->headers.add("x-path", request.path());
      sender_.send_head(head->headers, end);
    }
    void on_informational(http::HeadPtr /*head*/) override {}
    void on_head(http::HeadPtr /*head*/, bool /*end*/) override {}
    void on_data(http::Buffer& data, bool end) override { sender_.send_data(std::move(data), end); }
    void on_trailers(http::HeadPtr trailers) override { sender_.send_trailers(trailers->headers); }
    void on_reset(http::StreamError /*error*/, std::string_view /*detail*/) override { end(); }
    void on_writable() override {}
    void on_complete() override { end(); }

   private:
    void end() {
      for (auto at = owner_.open_.begin(); at != owner_.open_.end(); ++at) {
        if (at->get() != this) continue;
        owner_.open_.erase(at);
        return;
      }
      std::abort();
    }
    Echo& owner_;
    http::Sender& sender_;
  };

  std::set<std::unique_ptr<Stream>> open_;
};

struct Server {
  Server() {
    worker.start();
    on_worker([this] {
      http::ServerLimits limits;
      limits.http2.only = true;
      limits.max_head_bytes = 4096;
      limits.max_body_bytes = 65536;
      limits.send_timeout = limits.body_timeout = limits.head_timeout =
          std::chrono::milliseconds(100);
      auto created = http::Listener::create(worker, "127.0.0.1:0", limits, echo, registry);
      require(created.has_value(), "a listener");
      listener = std::move(*created);
    });
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

  std::unique_ptr<Log> log = Log::null();
  metrics::Registry registry;
  net::Worker worker{0, *log};
  Echo echo;
  std::unique_ptr<http::Listener> listener;
};

// libFuzzer's alarm interrupts calls that wait.
bool wait_for(const net::Fd& fd, short events) {
  pollfd ready{.fd = fd.get(), .events = events, .revents = 0};
  int got = -1;
  while ((got = ::poll(&ready, 1, kPatience)) < 0 && errno == EINTR) {
  }
  return got == 1;
}

net::Fd connect_to(std::uint16_t port) {
  net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto address = net::SocketAddress::numeric("127.0.0.1", port);
  const int done = ::connect(fd.get(), address->data(), address->size());
  require(done == 0 || (errno == EINTR && wait_for(fd, POLLOUT)), "connect");
  return fd;
}

bool send_all(const net::Fd& fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

void read_to_end(const net::Fd& fd) {
  for (;;) {
    require(wait_for(fd, POLLIN), "the connection ends");
    char buffer[65536];
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, 0);
    if (got == 0 || (got < 0 && errno != EINTR)) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server& server = *new Server;  // NOLINT: lives as long as the process
  if (size == 0) return 0;
  std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::size_t piece = data[0] == 0 ? bytes.size() : data[0];
  const net::Fd fd = connect_to(server.listener->local_port());
  bool open = send_all(fd, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  while (open && !bytes.empty()) {
    open = send_all(fd, bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
  }
  ::shutdown(fd.get(), SHUT_WR);
  read_to_end(fd);
  server.on_worker([] { require(server.echo.is_idle(), "every exchange ends"); });
  return 0;
}
