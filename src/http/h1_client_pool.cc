#include <algorithm>
#include <utility>

#include "http/h1_client.h"

namespace heddle::http {

H1ClientPool::~H1ClientPool() {
  for (const auto& stream : streams_) context.worker.forget_flush(*stream);
  endpoints_.for_each([this](H1Endpoint& endpoint) {
    context.connections_active->add(-static_cast<std::int64_t>(endpoint.connections.size()));
  });
}

H1Endpoint& H1ClientPool::endpoint(const ClientTarget& target) {
  return endpoints_.find(
      target, [&] { return std::make_unique<H1Endpoint>(context, target); },
      [](const H1Endpoint& other) { return other.connections.empty() && other.streams == 0; });
}

ClientStream& H1ClientPool::open(const ClientTarget& target, const ClientLimits& limits,
                                 Receiver& receiver) {
  H1Endpoint& to = endpoint(target);
  if (free_.empty()) {
    streams_.push_back(std::make_unique<H1ClientStream>(*this));
    free_.push_back(streams_.back().get());
  }
  H1ClientStream& stream = *free_.back();
  free_.pop_back();
  ++active_;
  ++to.streams;
  stream.open(&to, limits, receiver);
  return stream;
}

void H1ClientPool::adopt(const ClientTarget& target, const ClientLimits& limits,
                         ClientConnector& connector) {
  H1Endpoint& to = endpoint(target);
  H1ClientConnection& connection = add(to);
  to.idle.push_back(&connection);
  connection.start(connector, limits.idle_timeout);
}

void H1ClientPool::recycle(H1ClientStream& stream) {
  context.worker.forget_flush(stream);
  stream.receiver = nullptr;
  --stream.endpoint->streams;
  stream.connection = nullptr;
  --active_;
  free_.push_back(&stream);
}

H1ClientConnection* H1ClientPool::take_idle(H1Endpoint& endpoint, bool checked) {
  while (!endpoint.idle.empty()) {
    H1ClientConnection* const connection = endpoint.idle.back();
    if (!checked || !connection->is_stale()) {
      endpoint.idle.pop_back();
      connection->info.reused = connection->served;
      return connection;
    }
    connection->close();
  }
  return nullptr;
}

H1ClientConnection* H1ClientPool::connect(H1Endpoint& endpoint, const ClientLimits& limits) {
  if (endpoint.connections.size() < limits.max_connections)
    return &connect_unlimited(endpoint, limits);
  context.connection_limit_hits->add();
  return nullptr;
}

H1ClientConnection& H1ClientPool::connect_unlimited(H1Endpoint& endpoint,
                                                    const ClientLimits& limits) {
  H1ClientConnection& connection = add(endpoint);
  connection.connect(limits.connect_timeout);
  return connection;
}

H1ClientConnection& H1ClientPool::add(H1Endpoint& endpoint) {
  endpoint.connections.push_back(std::make_unique<H1ClientConnection>(*this, endpoint));
  endpoint.count_connection(context);
  context.connections_active->add(1);
  return *endpoint.connections.back();
}

void H1ClientPool::remove(H1Endpoint& endpoint, H1ClientConnection& connection) {
  auto& all = endpoint.connections;
  const auto found = std::find_if(all.begin(), all.end(),
                                  [&](const auto& item) { return item.get() == &connection; });
  if (found == all.end()) return;
  std::erase(endpoint.idle, &connection);
  std::unique_ptr<H1ClientConnection> gone = std::move(*found);
  *found = std::move(all.back());
  all.pop_back();
  context.connections_active->add(-1);
  context.worker.defer([gone = std::move(gone)] {});
}

void H1ClientPool::close_idle(H1Endpoint& endpoint) {
  while (!endpoint.idle.empty()) endpoint.idle.back()->close();
}

void H1ClientPool::close_idle() {
  endpoints_.for_each([](H1Endpoint& endpoint) { close_idle(endpoint); });
}

void H1ClientPool::forget(const std::string& name) {
  endpoints_.for_each([&](H1Endpoint& endpoint) {
    if (endpoint.target.endpoint != name) return;
    endpoint.forget_metrics();
    close_idle(endpoint);
    for (const auto& connection : endpoint.connections) connection->retired = true;
  });
}

}  // namespace heddle::http
