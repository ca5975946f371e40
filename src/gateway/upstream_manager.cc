#include "gateway/upstream_manager.h"

#include <algorithm>
#include <utility>

#include "gateway/upstream_maglev.h"

namespace heddle::gateway {
namespace {

constexpr std::size_t kWorker = 253;  // index, apart from the workers that serve traffic

// The host of an endpoint that must be resolved; nothing for an address.
std::optional<net::HostPort> name_of(const std::string& endpoint) {
  auto parsed = net::parse_host_port(endpoint);
  if (!parsed || net::SocketAddress::numeric(parsed->host, parsed->port)) return std::nullopt;
  return std::move(*parsed);
}

net::Resolver make_resolver(net::Worker& worker, net::BlockingPool& blocking,
                            net::Resolver::Lookup lookup) {
  if (lookup) return {worker, blocking, std::move(lookup)};
  return {worker, blocking};
}

}  // namespace

UpstreamManager::UpstreamManager(Log& log, metrics::Registry& metrics, Forget forget,
                                 net::Resolver::Lookup lookup)
    : log_(log),
      metrics_(metrics),
      forget_(std::move(forget)),
      worker_(kWorker, log),
      resolver_(make_resolver(worker_, *blocking_, std::move(lookup))),
      pool_(http::ClientPool::create(worker_, *blocking_, own_metrics_)) {
  worker_.start();
}

UpstreamManager::~UpstreamManager() {
  worker_.stop();
  worker_.join();
  blocking_.reset();
  upstreams_.clear();
  readmissions_.clear();
}

std::vector<std::shared_ptr<UpstreamState>> UpstreamManager::apply(
    const std::vector<UpstreamEntry>& upstreams) {
  std::vector<std::shared_ptr<UpstreamState>> out;
  std::vector<std::shared_ptr<Watched>> followed;
  std::vector<std::shared_ptr<Watched>> gone;
  Addresses outdated;
  {
    const std::lock_guard lock(mutex_);
    Left left;
    std::map<std::string, std::shared_ptr<Watched>> before = std::exchange(upstreams_, {});
    for (const UpstreamEntry& entry : upstreams) {
      const config::Upstream& upstream = *entry.upstream;
      if (upstream.endpoints.empty()) {
        out.emplace_back();
        continue;
      }
      if (auto known = before.extract(upstream.name)) upstreams_.insert(std::move(known));
      Watched& watched = watch(upstream);
      std::ranges::move(use_tls(watched, entry.tls), std::back_inserter(outdated));
      std::ranges::move(rebuild(watched), std::back_inserter(left));
      out.push_back(watched.state);
      followed.push_back(upstreams_[upstream.name]);
    }
    for (auto& [name, watched] : before) {
      for (const auto& [address, state] : watched->endpoints) left.push_back({name, address});
      gone.push_back(std::move(watched));
    }
    forget(left);  // only now: an upstream further down may have the address
  }
  for (const std::string& address : outdated) forget_(address);
  worker_.post([this, followed = std::move(followed), gone = std::move(gone)] {
    for (const auto& watched : followed) follow(watched);
    for (const auto& watched : gone) {
      watched->probes.clear();
      watched->names.clear();
    }
  });
  return out;
}

UpstreamManager::Watched& UpstreamManager::watch(const config::Upstream& upstream) {
  std::shared_ptr<Watched>& watched = upstreams_[upstream.name];
  if (!watched) {
    watched = std::make_shared<Watched>();
    watched->state = std::make_shared<UpstreamState>(
        upstream.name, log_, metrics_,
        [this](std::shared_ptr<UpstreamState> state, std::shared_ptr<EndpointState> endpoint,
               std::chrono::nanoseconds time) {
          readmit_later(std::move(state), std::move(endpoint), time);
        });
  }
  watched->config = upstream;
  return *watched;
}

// Gives the addresses whose connections speak with certificates that are not in force any more.
UpstreamManager::Addresses UpstreamManager::use_tls(
    Watched& watched, std::shared_ptr<const net::TlsClientContext> tls) {
  Addresses out;
  if (watched.tls == tls) return out;
  for (const auto& [address, state] : watched.endpoints) out.push_back(address);
  watched.tls = std::move(tls);
  return out;
}

// Publishes the endpoints as configuration and names are now.
UpstreamManager::Left UpstreamManager::rebuild(Watched& watched) {
  auto set = std::make_shared<EndpointSet>();
  const auto before = std::exchange(watched.endpoints, {});
  for (const config::Endpoint& endpoint : watched.config.endpoints) {
    const auto found = watched.resolved.find(endpoint.address);
    const bool known = found != watched.resolved.end() && name_of(endpoint.address);
    for (const std::string& address : known ? found->second : Addresses{endpoint.address}) {
      std::shared_ptr<EndpointState>& state = watched.endpoints[address];
      if (state) continue;  // named twice
      const auto old = before.find(address);
      state = old != before.end()
                  ? old->second
                  : std::make_shared<EndpointState>(watched.config.name, address, metrics_);
      http::ClientTarget target =
          make_target(watched.config, watched.tls, address, endpoint.address);
      http::ClientTarget http2 = target;
      http2.protocol = http::ClientProtocol::kHttp2;
      set->entries.push_back(
          {state, endpoint.address, std::move(target), std::move(http2), endpoint.weight});
    }
  }
  if (watched.config.load_balancer == "consistent_hash") {
    std::vector<MaglevItem> items;
    for (const EndpointEntry& entry : set->entries) {
      items.push_back({entry.state->address(), entry.weight});
    }
    set->table = maglev_table(items);
  }
  watched.state->publish(std::move(set));
  Left left;
  for (const auto& [address, state] : before) {
    if (!watched.endpoints.contains(address)) left.push_back({watched.config.name, address});
  }
  return left;
}

// With mutex_ held.
void UpstreamManager::forget(const Left& left) {
  for (const auto& [upstream, address] : left) {
    metrics_.remove({{"upstream", upstream}, {"endpoint", address}});
    const bool used = std::ranges::any_of(
        upstreams_, [&](const auto& each) { return each.second->endpoints.contains(address); });
    if (used) continue;
    metrics_.remove({{"endpoint", address}});
    forget_(address);
  }
}

std::shared_ptr<UpstreamState> UpstreamManager::find(const std::string& upstream) const {
  const std::lock_guard lock(mutex_);
  const auto found = upstreams_.find(upstream);
  return found != upstreams_.end() ? found->second->state : nullptr;
}

// ---- on the worker

void UpstreamManager::follow(const std::shared_ptr<Watched>& watched) {
  config::Upstream config;
  {
    const std::lock_guard lock(mutex_);
    config = watched->config;
  }
  follow_names(watched, config);
  follow_probes(*watched, config);
}

void UpstreamManager::follow_names(const std::shared_ptr<Watched>& watched,
                                   const config::Upstream& config) {
  std::erase_if(watched->names, [&](const auto& name) {
    return std::ranges::find(config.endpoints, name.first, &config::Endpoint::address) ==
           config.endpoints.end();
  });
  for (const config::Endpoint& endpoint : config.endpoints) {
    if (!name_of(endpoint.address)) continue;
    std::unique_ptr<Name>& name = watched->names[endpoint.address];
    if (name) continue;
    name = std::make_unique<Name>();
    resolve(watched, endpoint.address);
  }
}

void UpstreamManager::follow_probes(Watched& watched, const config::Upstream& config) {
  const std::shared_ptr<const EndpointSet> endpoints = watched.state->endpoints();
  auto before = std::exchange(watched.probes, {});
  for (const EndpointEntry& entry : endpoints->entries) {
    if (!config.health_check.enabled) {
      watched.state->forget_health(*entry.state);
      continue;
    }
    std::unique_ptr<UpstreamProbe>& probe = watched.probes[entry.state->address()];
    const auto old = before.find(entry.state->address());
    if (old != before.end() && old->second->is_for(entry, config.health_check)) {
      probe = std::move(old->second);
    } else {
      probe = std::make_unique<UpstreamProbe>(worker_, *pool_, resolver_, watched.state, entry,
                                              config.health_check, metrics_);
    }
  }
}

void UpstreamManager::resolve(const std::shared_ptr<Watched>& watched, const std::string& name) {
  const auto target = name_of(name);
  if (!target) return;
  resolver_.resolve_anew(
      target->host, target->port,
      [this, weak = std::weak_ptr(watched), name](const Result<net::Resolver::Addresses>& found) {
        if (const auto still = weak.lock()) resolved(still, name, found);
      });
}

void UpstreamManager::resolved(const std::shared_ptr<Watched>& watched, const std::string& name,
                               const Result<net::Resolver::Addresses>& found) {
  const auto own = watched->names.find(name);
  if (own == watched->names.end()) return;
  Addresses addresses;
  bool changed = false;
  config::Milliseconds interval{};
  {
    const std::lock_guard lock(mutex_);
    interval = watched->config.resolve_interval;
    if (found) {
      for (const net::SocketAddress& address : *found) addresses.push_back(address.to_string());
      std::ranges::sort(addresses);
      const auto [first, last] = std::ranges::unique(addresses);
      addresses.erase(first, last);
      Addresses& known = watched->resolved[name];
      changed = known != addresses;
      known = addresses;
      if (changed) forget(rebuild(*watched));
    }
  }
  const std::string& upstream = watched->state->name();
  if (changed) {
    std::string text;
    for (const std::string& address : addresses) text += (text.empty() ? "" : ", ") + address;
    log_.info("endpoints of a name", {{"upstream", upstream}, {"name", name}, {"addresses", text}});
    follow(watched);
  }
  if (!found && !own->second->failing) {
    log_.warn("a name cannot be resolved; its addresses stay as they are",
              {{"upstream", upstream}, {"name", name}, {"error", found.error().message}});
  }
  own->second->failing = !found;
  own->second->timer.arm(worker_.timers(), interval, [this, weak = std::weak_ptr(watched), name] {
    const net::Worker::Scope scope(worker_);
    if (const auto still = weak.lock()) resolve(still, name);
  });
}

void UpstreamManager::readmit_later(std::shared_ptr<UpstreamState> upstream,
                                    std::shared_ptr<EndpointState> endpoint,
                                    std::chrono::nanoseconds time) {
  worker_.post([this, time, upstream = std::move(upstream), endpoint = std::move(endpoint)] {
    const auto self = readmissions_.emplace(readmissions_.end());
    self->timer.arm(worker_.timers(), time, [this, self, upstream, endpoint] {
      const net::Worker::Scope scope(worker_);
      upstream->readmit(*endpoint);
      worker_.defer([this, self] { readmissions_.erase(self); });
    });
  });
}

}  // namespace heddle::gateway
