// The first stage of a connection to a TLS listener: the handshake. Then the protocol that ALPN
// chose takes the connection over. Private to this folder; worker thread only.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>

#include "http/server_context.h"
#include "net/tcp_stream.h"
#include "net/timer.h"

namespace heddle::http {

class TlsHandshake final : public ServerConnection, net::TcpStream::Observer {
 public:
  // Counts as a connection from now on.
  TlsHandshake(ServerContext& context, net::Fd fd, const net::SocketAddress& remote);
  ~TlsHandshake() override = default;

  void start();  // after it was added to the context
  void drain() override;
  void abort() override { close(); }

 private:
  void on_tls(std::string_view error) override;
  void on_connect(int) override {}
  void on_read(std::size_t) override {}
  void on_read_end(int) override {}
  void on_write_ready() override {}
  template <typename Connection>
  void hand_over();
  void fail(std::string_view error);
  void tell_plain_client();
  void close();

  ServerContext& context_;
  ConnectionInfo info_;
  net::TcpStream stream_;
  net::Timer last_moment_;  // of a handshake when the listener drains
  bool closed_ = false;
};

}  // namespace heddle::http
