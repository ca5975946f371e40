// Any bytes as what a client of HTTP/2 sends, in pieces as the first byte says: the connection ends
// by itself once the client has nothing more to say, and every exchange that began has ended.
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "http/fuzz_support.h"
#include "http/h2_server.h"
#include "http/server.h"
#include "net/address.h"
#include "net/test_worker.h"

namespace {

using namespace heddle;
using http::fuzzing::Input;
using http::fuzzing::require;

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

class Server : net::testing::TestWorker {
 public:
  Server() {
    http::ServerLimits limits;
    limits.http2.only = true;
    limits.max_head_bytes = 4096;
    limits.max_body_bytes = 65536;
    limits.send_timeout = limits.body_timeout = limits.head_timeout =
        std::chrono::milliseconds(100);
    on_worker([&] {
      auto created = http::Listener::create(worker, "127.0.0.1:0", limits, echo_, registry);
      require(created.has_value(), "a listener");
      listener_ = std::move(*created);
    });
  }

  net::Fd connect() const {
    net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = net::SocketAddress::numeric("127.0.0.1", listener_->local_port());
    const int done = ::connect(fd.get(), address->data(), address->size());
    require(done == 0 || (errno == EINTR && http::fuzzing::wait_for(fd, POLLOUT)), "connect");
    return fd;
  }
  bool is_idle() {
    bool idle = false;
    on_worker([&] { idle = echo_.is_idle(); });
    return idle;
  }

 private:
  Echo echo_;
  std::unique_ptr<http::Listener> listener_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static Server& server = http::fuzzing::endless<Server>();
  if (size == 0) return 0;
  const Input input(data, size);
  const net::Fd fd = server.connect();
  if (http::fuzzing::send_in_pieces(fd, http::kH2Preface, http::kH2Preface.size()))
    http::fuzzing::send_in_pieces(fd, input.bytes, input.piece);
  http::fuzzing::finish(fd);
  require(server.is_idle(), "every exchange ends");
  return 0;
}
