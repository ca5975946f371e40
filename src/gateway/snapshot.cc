#include "gateway/snapshot.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace heddle::gateway {
namespace {

constexpr std::array<std::string_view, 6> kStatusClasses = {"none", "1xx", "2xx",
                                                            "3xx",  "4xx", "5xx"};

RouteMetrics route_metrics(metrics::Registry& registry, const std::string& route) {
  RouteMetrics out;
  for (std::size_t i = 0; i < kStatusClasses.size(); ++i) {
    out.requests.at(i) = registry.counter(
        "heddle_requests_total", "Requests answered, by route and status class (none: no answer)",
        {{"route", route}, {"status", std::string(kStatusClasses.at(i))}});
  }
  out.duration = registry.histogram("heddle_request_duration_seconds",
                                    "Time from the complete request head to the end of the answer",
                                    {{"route", route}}, metrics::request_bounds(), 1e-9);
  return out;
}

UpstreamMetrics upstream_metrics(metrics::Registry& registry, const std::string& upstream) {
  UpstreamMetrics out;
  for (std::size_t i = 0; i < kStatusClasses.size(); ++i) {
    out.responses.at(i) =
        registry.counter("heddle_upstream_responses_total",
                         "Answers of an upstream, by status class (none: it failed)",
                         {{"upstream", upstream}, {"status", std::string(kStatusClasses.at(i))}});
  }
  out.active = registry.gauge("heddle_upstream_requests_active", "Requests an upstream is serving",
                              {{"upstream", upstream}});
  return out;
}

const config::RoutePlugin* named_by(const config::Route& route, const std::string& plugin) {
  const auto found = std::ranges::find(route.plugins, plugin, &config::RoutePlugin::name);
  return found != route.plugins.end() ? &*found : nullptr;
}

// Such a plugin runs only where it is named, others on every route.
bool named_somewhere(const config::Config& config, const std::string& plugin) {
  return std::ranges::any_of(
             config.routes,
             [&](const config::Route& route) { return named_by(route, plugin) != nullptr; }) ||
         std::ranges::any_of(config.plugins,
                             [&](const config::Plugin& other) {
                               return std::ranges::find(other.filters, plugin) !=
                                      other.filters.end();
                             }) ||
         std::ranges::any_of(config.listeners, [&](const config::Listener& listener) {
           return std::ranges::find(listener.plugins, plugin) != listener.plugins.end();
         });
}

std::vector<config::Route> routes_of(const config::Config& config, const PluginRoutes& plugins) {
  std::vector<config::Route> out = config.routes;
  for (const PluginRouteEntry& entry : plugins.routes) out.push_back(entry.route);
  return out;
}

// With the configuration that the route gives; null when the version that serves was not made with
// it, because a newer one could not be loaded.
std::shared_ptr<extension::HttpFilterFactory> factory_for(const FilterBinding& filter,
                                                          const config::RoutePlugin* named) {
  if (named == nullptr || !named->configuration || filter.factory == nullptr) return filter.factory;
  return filter.plugin != nullptr ? filter.plugin->http_filter(*named->configuration) : nullptr;
}

}  // namespace

Snapshot::Snapshot(std::shared_ptr<const config::Config> config,
                   const std::vector<FilterBinding>& filters, NativeFilters& natives,
                   metrics::Registry& metrics, std::shared_ptr<const TlsContexts> tls,
                   const PluginBindings& plugins)
    : config_(std::move(config)),
      tls_(tls ? std::move(tls) : std::make_shared<const TlsContexts>()),
      plugin_routes_(make_plugin_routes(*config_, plugins)),
      all_routes_(routes_of(*config_, plugin_routes_)),
      router_(all_routes_) {
  natives.forget_unused();
  for (const config::Upstream& upstream : config_->upstreams) {
    upstream_names_.emplace(upstream.name, upstreams_.size());
    upstreams_.push_back(
        {&upstream, upstream_metrics(metrics, upstream.name), tls_->upstream(upstream.name)});
  }
  for (std::size_t i = 0; i < all_routes_.size(); ++i) {
    const config::Route& route = all_routes_[i];
    RouteEntry entry;
    entry.route = &route;
    entry.metrics = route_metrics(metrics, route.id);
    bind(entry, filters, natives);
    if (i < config_->routes.size()) {
      entry.upstream = find_upstream(route.upstream);
      if (entry.upstream != RouteMatch::kNone) {
        entry.origin_metrics = &upstreams_[entry.upstream].metrics;
      }
    } else {
      bind(entry, plugin_routes_.routes[i - config_->routes.size()], metrics);
    }
    routes_.push_back(std::move(entry));
  }
  for (const config::Listener& listener : config_->listeners) {
    if (!listener.is_tcp()) continue;
    TcpEntry entry;
    entry.listener = &listener;
    entry.upstream = find_upstream(listener.upstream);
    bind(entry, filters);
    tcp_.push_back(std::move(entry));
  }
  unrouted_.metrics = route_metrics(metrics, "");
  bind(unrouted_, filters, natives);
  live_ = metrics.gauge("heddle_snapshots_live",
                        "Configuration snapshots in use: the current one and those that exchanges "
                        "still hold",
                        {});
  live_->add(1);
}

Snapshot::~Snapshot() {
  live_->add(-1);
}

void Snapshot::bind(RouteEntry& entry, const std::vector<FilterBinding>& filters,
                    NativeFilters& natives) {
  std::vector<NativeEntry> chain;  // by priority; of equal ones, who came first
  const auto place = [&](NativeEntry item) {
    const auto behind =
        std::ranges::upper_bound(chain, item.priority, std::greater(), &NativeEntry::priority);
    chain.insert(behind, std::move(item));
  };
  for (NativeEntry& item : natives.of_route(*config_, entry.route)) place(std::move(item));
  for (const FilterBinding& filter : filters) {
    if (!filter.enabled) continue;
    const config::RoutePlugin* named =
        entry.route != nullptr ? named_by(*entry.route, filter.name) : nullptr;
    if (named == nullptr && named_somewhere(*config_, filter.name)) continue;
    if (const auto factory = factory_for(filter, named)) {
      place({filter.priority, {factory, factory->interest(), factory->buffer_limit()}});
      entry.plugins.push_back(factory);
    } else if (filter.factory) {
      entry.unavailable = filter.name +
                          ": its version that serves does not have the config that "
                          "the route gives it; see its last error";
    } else if (!filter.network && !filter.fail_open && entry.unavailable.empty()) {
      entry.unavailable = filter.error;
    }
  }
  if (entry.route != nullptr) {
    for (const config::RoutePlugin& plugin : entry.route->plugins) {
      if (auto reason = missing_filter(plugin.name, filters); !reason.empty()) {
        entry.unavailable = std::move(reason);
      }
    }
  }
  for (NativeEntry& item : chain) entry.chain.push_back(std::move(item.entry));
}

void Snapshot::bind(RouteEntry& entry, const PluginRouteEntry& plugin, metrics::Registry& metrics) {
  entry.upstream = RouteMatch::kNone;
  entry.origin = plugin.origin;
  if (!plugin.unavailable.empty()) entry.unavailable = plugin.unavailable;
  const auto [known, fresh] = origin_metrics_.try_emplace(plugin.origin_name);
  if (fresh) known->second = upstream_metrics(metrics, plugin.origin_name);
  entry.origin_metrics = &known->second;
}

void Snapshot::bind(TcpEntry& entry, const std::vector<FilterBinding>& filters) {
  const std::vector<std::string>& named = entry.listener->plugins;
  for (const FilterBinding& filter : filters) {
    if (!filter.enabled || std::ranges::find(named, filter.name) == named.end()) continue;
    if (filter.network) {
      entry.filters.push_back(filter.network);
    } else if (!filter.factory && !filter.fail_open && entry.unavailable.empty()) {
      entry.unavailable = filter.error;
    }
  }
  for (const std::string& name : named) {
    if (auto reason = missing_filter(name, filters); !reason.empty()) {
      entry.unavailable = std::move(reason);
    }
  }
}

std::string Snapshot::missing_filter(const std::string& name,
                                     const std::vector<FilterBinding>& filters) {
  if (std::ranges::find(filters, name, &FilterBinding::name) != filters.end()) return {};
  std::string reason = "plugin " + name +
                       " is not loaded: no filter of this name is in plugin_directories; put its "
                       "file there, or take the name out of the configuration";
  if (std::ranges::find(missing_, reason) == missing_.end()) missing_.push_back(reason);
  return reason;
}

const RouteEntry* Snapshot::find_route(std::string_view id) const {
  const auto found =
      std::ranges::find_if(routes_, [&](const RouteEntry& entry) { return entry.route->id == id; });
  return found != routes_.end() ? &*found : nullptr;
}

const TcpEntry* Snapshot::find_tcp(std::string_view listener) const {
  const auto found = std::ranges::find_if(
      tcp_, [&](const TcpEntry& entry) { return entry.listener->name == listener; });
  return found != tcp_.end() ? &*found : nullptr;
}

std::size_t Snapshot::find_upstream(std::string_view name) const {
  const auto it = upstream_names_.find(name);
  return it != upstream_names_.end() ? it->second : RouteMatch::kNone;
}

}  // namespace heddle::gateway
