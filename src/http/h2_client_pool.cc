#include <algorithm>
#include <utility>

#include "http/h2_client.h"

namespace heddle::http {

H2ClientPool::~H2ClientPool() {
  for (const auto& stream : streams_) context.worker.forget_flush(*stream);
  endpoints_.for_each([this](H2Endpoint& endpoint) {
    context.connections_active->add(-static_cast<std::int64_t>(endpoint.connections.size()));
  });
}

H2Endpoint& H2ClientPool::endpoint(const ClientTarget& target) {
  return endpoints_.find(
      target, [&] { return std::make_unique<H2Endpoint>(context, target); },
      [](const H2Endpoint& other) { return other.connections.empty() && other.streams == 0; });
}

ClientStream& H2ClientPool::open(const ClientTarget& target, const ClientLimits& limits,
                                 Receiver& receiver) {
  H2Endpoint& to = endpoint(target);
  if (free_.empty()) {
    streams_.push_back(std::make_unique<H2ClientStream>(*this));
    free_.push_back(streams_.back().get());
  }
  H2ClientStream& stream = *free_.back();
  free_.pop_back();
  ++active_;
  ++to.streams;
  stream.open(&to, limits, receiver);
  return stream;
}

void H2ClientPool::recycle(H2ClientStream& stream) {
  context.worker.forget_flush(stream);
  stream.clear();
  --stream.endpoint->streams;
  --active_;
  free_.push_back(&stream);
}

H2ClientConnection* H2ClientPool::find(H2Endpoint& endpoint, const H2ClientStream& stream) {
  for (const auto& connection : endpoint.connections) {
    if (connection->has_room(!stream.idempotent)) return connection.get();
  }
  if (endpoint.connections.size() >= stream.limits.max_connections) {
    context.connection_limit_hits->add();
    return nullptr;
  }
  H2ClientConnection& connection = add(endpoint, stream.limits);
  connection.connect();
  return &connection;
}

bool H2ClientPool::has_room(const ClientTarget& target) {
  return std::ranges::any_of(endpoint(target).connections,
                             [](const auto& connection) { return connection->has_room(false); });
}

void H2ClientPool::adopt(const ClientTarget& target, const ClientLimits& limits,
                         ClientConnector& connector) {
  add(endpoint(target), limits).start(connector);
}

H2ClientConnection& H2ClientPool::add(H2Endpoint& endpoint, const ClientLimits& limits) {
  endpoint.connections.push_back(std::make_unique<H2ClientConnection>(*this, endpoint, limits));
  endpoint.count_connection(context);
  context.connections_active->add(1);
  return *endpoint.connections.back();
}

void H2ClientPool::remove(H2Endpoint& endpoint, H2ClientConnection& connection) {
  auto& all = endpoint.connections;
  const auto found =
      std::ranges::find_if(all, [&](const auto& item) { return item.get() == &connection; });
  if (found == all.end()) return;
  std::unique_ptr<H2ClientConnection> gone = std::move(*found);
  all.erase(found);
  context.connections_active->add(-1);
  context.worker.defer([gone = std::move(gone)] {});
}

// Backwards, since a visit may remove the visited one.
template <typename Visit>
void H2ClientPool::for_each(H2Endpoint& endpoint, Visit visit) {
  for (std::size_t i = endpoint.connections.size(); i-- > 0;) visit(*endpoint.connections[i]);
}

void H2ClientPool::close_idle() {
  endpoints_.for_each([](H2Endpoint& endpoint) {
    for_each(endpoint, [](H2ClientConnection& connection) { connection.close_if_unused(); });
  });
}

void H2ClientPool::forget(const std::string& name) {
  endpoints_.for_each([&](H2Endpoint& endpoint) {
    if (endpoint.target.endpoint != name) return;
    endpoint.forget_metrics();
    for_each(endpoint, [](H2ClientConnection& connection) { connection.retire(); });
  });
}

}  // namespace heddle::http
