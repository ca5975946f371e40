#include "http/tls_handshake.h"

#include <array>
#include <utility>

#include "http/h1_server.h"
#include "http/h2_server.h"
#include "net/tls.h"
#include "net/worker.h"

namespace heddle::http {
namespace {

constexpr std::string_view kPlainAnswer =
    "HTTP/1.1 400 Bad Request\r\n"
    "content-type: text/plain\r\n"
    "content-length: 52\r\n"
    "connection: close\r\n"
    "\r\n"
    "This port speaks HTTPS; the request came in plain.\r\n";
static_assert(kPlainAnswer.size() - kPlainAnswer.find("\r\n\r\n") - 4 == 52);

}  // namespace

TlsHandshake::TlsHandshake(ServerContext& context, net::Fd fd, const net::SocketAddress& remote)
    : context_(context), info_(describe_connection(fd, remote)), stream_(context.worker, *this) {
  info_.tls = true;
  stream_.adopt(std::move(fd));
  context_.connections_total->add();
  context_.connections_active->add(1);
}

void TlsHandshake::start() {
  if (!stream_.is_open()) return close();
  if (context_.draining) drain();
  stream_.start_tls_server(context_.tls);
}

void TlsHandshake::drain() {
  last_moment_.arm(context_.worker.timers(), kFirstRequestTime, [this] { close(); });
}

void TlsHandshake::on_tls(std::string_view error) {
  if (!error.empty()) return fail(error);
  info_.tls_info = stream_.tls();
  context_.handshakes->succeeded(*info_.tls_info);
  if (info_.tls_info->alpn == "h2") {
    hand_over<H2ServerConnection>();
  } else {
    hand_over<H1ServerConnection>();
  }
}

template <typename Connection>
void TlsHandshake::hand_over() {
  auto connection = std::make_unique<Connection>(context_, std::move(info_));
  Connection& next = *connection;
  closed_ = true;
  last_moment_.cancel();
  context_.replace(*this, std::move(connection));
  next.start(stream_);
}

void TlsHandshake::fail(std::string_view error) {
  const net::TlsFailure kind = stream_.tls_failure();
  context_.handshakes->failed(
      {.kind = kind, .error = error, .remote = info_.remote_address, .local = info_.local_address},
      context_.worker.now());
  if (kind == net::TlsFailure::kPlainHttp) tell_plain_client();
  close();
}

void TlsHandshake::tell_plain_client() {
  stream_.stop_tls();
  // An iovec that is sent is not written to.
  const std::array parts = {iovec{const_cast<char*>(kPlainAnswer.data()), kPlainAnswer.size()}};
  stream_.send(parts);
}

void TlsHandshake::close() {
  if (std::exchange(closed_, true)) return;
  last_moment_.cancel();
  stream_.close();
  context_.connections_active->add(-1);
  context_.remove(*this);
}

}  // namespace heddle::http
