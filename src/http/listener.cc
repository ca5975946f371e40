#include <utility>

#include "http/h1_server.h"
#include "http/h2_server.h"
#include "http/server.h"
#include "http/tls_handshake.h"
#include "net/acceptor.h"
#include "net/socket.h"

namespace heddle::http {
namespace {

class ListenerImpl final : public Listener, net::Acceptor::Observer {
 public:
  ListenerImpl(net::Worker& worker, net::Fd fd, const ServerLimits& limits, ServerHandler& handler,
               metrics::Registry& registry)
      : context_(worker, limits, handler, registry),
        registry_(registry),
        port_(net::local_address(fd.get()).port()),
        acceptor_(worker, std::move(fd), *this) {
    acceptor_.start();
  }
  ~ListenerImpl() override { abort(); }
  ListenerImpl(const ListenerImpl&) = delete;
  ListenerImpl& operator=(const ListenerImpl&) = delete;

  std::uint16_t local_port() const override { return port_; }
  void use_tls(std::shared_ptr<const net::TlsServerContext> context) override {
    context_.use_tls(std::move(context), registry_);
  }
  void set_limits(const ServerLimits& limits) override { context_.set_limits(limits); }
  void stop_accepting() override { acceptor_.stop(); }
  net::Fd release() override { return acceptor_.release(); }
  std::size_t connections() const override { return context_.connections.size(); }
  bool ended() const override { return !acceptor_.open() && context_.connections.empty(); }

  void drain() override {
    context_.draining = true;
    for_each([](ServerConnection& connection) { connection.drain(); });
  }
  void abort() override {
    acceptor_.close();
    for_each([](ServerConnection& connection) { connection.abort(); });
  }

  void on_accept(net::Fd fd, const net::SocketAddress& remote) override {
    if (context_.connections.size() >= context_.limits.max_connections) {
      context_.connection_limit_hits->add();
      return;
    }
    if (context_.tls != nullptr) {
      auto handshake = std::make_unique<TlsHandshake>(context_, std::move(fd), remote);
      TlsHandshake& first = *handshake;
      context_.add(std::move(handshake));
      first.start();
      return;
    }
    if (context_.limits.http2.only) {
      start_h2(std::move(fd), remote);
      return;
    }
    auto connection = std::make_unique<H1ServerConnection>(context_, std::move(fd), remote);
    H1ServerConnection& added = *connection;
    context_.add(std::move(connection));
    added.start();
  }

 private:
  void start_h2(net::Fd fd, const net::SocketAddress& remote) {
    auto connection =
        std::make_unique<H2ServerConnection>(context_, describe_connection(fd, remote));
    H2ServerConnection& added = *connection;
    context_.add(std::move(connection));
    context_.connections_total->add();
    context_.connections_active->add(1);
    added.start(std::move(fd));
  }

  // Backwards, since a visit may remove the visited one.
  template <typename Visit>
  void for_each(Visit visit) {
    for (std::size_t i = context_.connections.size(); i-- > 0;) {
      if (i < context_.connections.size()) visit(*context_.connections[i]);
    }
  }

  ServerContext context_;
  metrics::Registry& registry_;
  std::uint16_t port_;
  net::Acceptor acceptor_;
};

}  // namespace

Result<std::unique_ptr<Listener>> Listener::create(net::Worker& worker, const std::string& address,
                                                   const ServerLimits& limits,
                                                   ServerHandler& handler,
                                                   metrics::Registry& metrics) {
  auto fd = net::listen_socket(address);
  if (!fd) return std::unexpected(std::move(fd).error());
  return create(worker, std::move(*fd), limits, handler, metrics);
}

std::unique_ptr<Listener> Listener::create(net::Worker& worker, net::Fd listening,
                                           const ServerLimits& limits, ServerHandler& handler,
                                           metrics::Registry& metrics) {
  return std::make_unique<ListenerImpl>(worker, std::move(listening), limits, handler, metrics);
}

Result<ReservedAddress> reserve_address(const std::string& address, net::Sharing sharing) {
  const auto parsed = net::parse_host_port(address);
  if (!parsed) return std::unexpected(parsed.error());
  if (parsed->port != 0 && sharing == net::Sharing::kExclusive) {
    // SO_REUSEPORT would share the port with whoever holds it in that way.
    const auto probe = net::bind_socket(address, net::Sharing::kExclusive);
    if (!probe) return std::unexpected(probe.error());
  }
  auto hold = net::bind_socket(address, net::Sharing::kShared);
  if (!hold) return std::unexpected(std::move(hold).error());
  const net::SocketAddress local = net::local_address(hold->get());
  return ReservedAddress{
      parsed->host.empty() ? ":" + std::to_string(local.port()) : local.to_string(),
      std::move(*hold)};
}

}  // namespace heddle::http
