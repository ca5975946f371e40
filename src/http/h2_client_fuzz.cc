// Any bytes as what an upstream of HTTP/2 answers, in pieces as the first byte says, on every
// connection that the client opens for two requests: both end, whatever comes.
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>

#include "http/client.h"
#include "http/fuzz_support.h"
#include "net/address.h"
#include "net/blocking_pool.h"
#include "net/test_worker.h"

namespace {

using namespace heddle;
using http::fuzzing::Input;
using http::fuzzing::kPatience;
using http::fuzzing::require;

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

// A client of the listening socket that the fuzzer serves.
class Client : net::testing::TestWorker {
 public:
  Client() {
    const auto any = net::SocketAddress::numeric("127.0.0.1", 0);
    require(::bind(listener_.get(), any->data(), any->size()) == 0, "bind");
    require(::listen(listener_.get(), 64) == 0, "listen");
    target_ = {.endpoint = net::local_address(listener_.get()).to_string(),
               .protocol = http::ClientProtocol::kHttp2};
    on_worker([this] { pool_ = http::ClientPool::create(worker, blocking_, registry); });
  }

  // Two requests, one of them with a body.
  void begin(Answer& first, Answer& second) {
    on_worker([&] {
      ask(first, "GET", {});
      ask(second, "POST", "body");
    });
  }
  bool is_over(const Answer& first, const Answer& second) {
    bool over = false;
    on_worker([&] { over = first.is_over() && second.is_over(); });
    return over;
  }
  // Answers a connection that the client opened, if there is one.
  void serve(const Input& input) {
    pollfd ready{.fd = listener_.get(), .events = POLLIN, .revents = 0};
    ::poll(&ready, 1, 1);
    const net::Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd.get() < 0) return;
    http::fuzzing::send_in_pieces(fd, input.bytes, input.piece);
    http::fuzzing::finish(fd);
  }

 private:
  void ask(Answer& answer, const char* method, std::string_view body) {
    http::ClientStream& stream = pool_->open(target_, limits_, answer);
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

  net::BlockingPool blocking_{1};
  net::Fd listener_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  http::ClientTarget target_;
  http::ClientLimits limits_;
  std::unique_ptr<http::ClientPool> pool_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Client& client = http::fuzzing::endless<Client>();
  if (size == 0) return 0;
  const Input input(data, size);
  Answer first;
  Answer second;
  client.begin(first, second);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatience);
  while (!client.is_over(first, second)) {
    require(std::chrono::steady_clock::now() < deadline, "both requests end");
    client.serve(input);
  }
  return 0;
}
