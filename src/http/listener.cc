#include <array>
#include <utility>

#include "http/h1_server.h"
#include "http/server.h"
#include "net/acceptor.h"
#include "net/socket.h"

namespace heddle::http {
namespace {

constexpr std::string_view kLimitHits = "heddle_http_limit_hits_total";
constexpr std::string_view kLimitHitsHelp = "How often a limit of HTTP connections was hit";

class ListenerImpl final : public Listener, net::Acceptor::Observer {
 public:
  ListenerImpl(net::Worker& worker, net::Fd fd, const ServerLimits& limits, ServerHandler& handler,
               metrics::Registry& registry)
      : context_(worker, limits, handler, registry),
        port_(net::local_address(fd.get()).port()),
        acceptor_(worker, std::move(fd), *this) {
    acceptor_.start();
  }
  ~ListenerImpl() override { abort(); }
  ListenerImpl(const ListenerImpl&) = delete;
  ListenerImpl& operator=(const ListenerImpl&) = delete;

  std::uint16_t local_port() const override { return port_; }
  void stop_accepting() override { acceptor_.stop(); }
  std::size_t connections() const override { return context_.connections.size(); }

  void drain() override {
    context_.draining = true;
    for_each([](H1ServerConnection& connection) { connection.drain(); });
  }
  void abort() override {
    for_each([](H1ServerConnection& connection) { connection.abort(); });
  }

  void on_accept(net::Fd fd, const net::SocketAddress& remote) override {
    if (context_.connections.size() >= context_.limits.max_connections) {
      context_.connection_limit_hits->add();
      return;
    }
    auto connection = std::make_unique<H1ServerConnection>(context_, std::move(fd), remote);
    H1ServerConnection& added = *connection;
    context_.add(std::move(connection));
    added.start();
  }

 private:
  // Backwards, since a visit may remove the visited one.
  template <typename Visit>
  void for_each(Visit visit) {
    for (std::size_t i = context_.connections.size(); i-- > 0;) {
      if (i < context_.connections.size()) visit(*context_.connections[i]);
    }
  }

  ServerContext context_;
  std::uint16_t port_;
  net::Acceptor acceptor_;
};

}  // namespace

ServerContext::ServerContext(net::Worker& worker_in, const ServerLimits& limits_in,
                             ServerHandler& handler_in, metrics::Registry& registry)
    : worker(worker_in),
      limits(limits_in),
      head_limits{limits_in.max_head_bytes, limits_in.max_headers, limits_in.max_target_bytes},
      handler(handler_in),
      connections_total(
          registry.counter("heddle_downstream_connections_total", "Connections accepted", {})),
      connections_active(
          registry.gauge("heddle_downstream_connections_active", "Connections open", {})),
      connection_limit_hits(
          registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "max_connections"}})),
      send_timeout_hits(registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", "send_timeout"}})) {
  for (std::size_t i = 0; i < kRejectCount; ++i) {
    const auto reject = static_cast<Reject>(i);
    const std::string name(info(reject).name);
    rejects.push_back(is_limit(reject)
                          ? registry.counter(kLimitHits, kLimitHitsHelp, {{"limit", name}})
                          : registry.counter("heddle_http_bad_requests_total", "Requests refused",
                                             {{"reason", name}}));
  }
}

void ServerContext::add(std::unique_ptr<H1ServerConnection> connection) {
  connection->slot = connections.size();
  connections.push_back(std::move(connection));
}

void ServerContext::remove(H1ServerConnection& connection) {
  std::unique_ptr<H1ServerConnection> gone = std::move(connections[connection.slot]);
  if (&connection != connections.back().get() && connection.slot + 1 < connections.size()) {
    connections.back()->slot = connection.slot;
    connections[connection.slot] = std::move(connections.back());
  }
  connections.pop_back();
  worker.defer([gone = std::move(gone)] {});
}

void ServerContext::count(Reject reject) {
  rejects[static_cast<std::size_t>(reject)]->add();
}

Result<std::unique_ptr<Listener>> Listener::create(net::Worker& worker, const std::string& address,
                                                   const ServerLimits& limits,
                                                   ServerHandler& handler,
                                                   metrics::Registry& metrics) {
  auto fd = net::listen_socket(address);
  if (!fd) return std::unexpected(std::move(fd).error());
  return std::make_unique<ListenerImpl>(worker, std::move(*fd), limits, handler, metrics);
}

Result<std::string> probe_address(const std::string& address) {
  const auto fd = net::bind_socket(address, net::Sharing::kExclusive);
  if (!fd) return std::unexpected(fd.error());
  const auto parsed = net::parse_host_port(address);
  if (!parsed) return std::unexpected(parsed.error());
  const std::uint16_t port = net::local_address(fd->get()).port();
  if (parsed->host.empty()) return ":" + std::to_string(port);
  return net::local_address(fd->get()).to_string();
}

}  // namespace heddle::http
