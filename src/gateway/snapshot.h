// Everything that decides what happens to a request, as one immutable value: configuration, routes
// with their filter chains, upstreams, metric handles. A change makes a new one; exchanges keep the
// one they started with.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "extension/http_filter.h"
#include "extension/network_filter.h"
#include "extension/plugin_contract.h"
#include "gateway/filter_chain.h"
#include "gateway/native_filters.h"
#include "gateway/plugin_routes.h"
#include "gateway/router.h"
#include "gateway/tls_contexts.h"

namespace heddle::gateway {

// A plugin of the configuration that sits on requests or connections, in order of priority. Given
// by whoever runs the registry.
struct FilterBinding {
  std::string name;
  bool enabled = true;  // else it is left out on purpose
  // Both null: cannot be loaded, see `error`.
  std::shared_ptr<extension::HttpFilterFactory> factory;
  std::shared_ptr<extension::NetworkFilterFactory> network = nullptr;
  int priority = 0;
  std::string error = {};  // one line that begins with the plugin's name
  bool fail_open = false;  // an unloadable plugin is left out instead of answering 503
  // Where the filters of routes that configure the plugin come from; null when no route may.
  std::shared_ptr<extension::LoadedPlugin> plugin = nullptr;
};

struct RouteMetrics {
  std::array<std::shared_ptr<metrics::Counter>, 6>
      requests;  // by status class: 1xx … 5xx; [0] no answer at all
  std::shared_ptr<metrics::Histogram> duration;
};

struct UpstreamMetrics {
  std::array<std::shared_ptr<metrics::Counter>, 6> responses;  // by status class; [0] failed
  std::shared_ptr<metrics::Gauge> active;
};

// A route with what runs on it.
struct RouteEntry {
  const config::Route* route = nullptr;  // null: the entry for requests that match no route
  std::vector<ChainEntry> chain;
  std::vector<std::shared_ptr<extension::HttpFilterFactory>> plugins;  // those of the chain
  std::string unavailable;  // why the route answers 503, naming the plugin; empty: it serves
  std::size_t upstream = 0;
  // What answers in place of an upstream (a plugin); null: the upstream does.
  std::shared_ptr<extension::HttpOrigin> origin = nullptr;
  const UpstreamMetrics* origin_metrics = nullptr;  // of either; null only of unrouted requests
  RouteMetrics metrics;
};

struct UpstreamEntry {
  const config::Upstream* upstream = nullptr;
  UpstreamMetrics metrics;
  std::shared_ptr<const net::TlsClientContext> tls;  // null: plain
};

// A TCP listener with what runs on its connections.
struct TcpEntry {
  const config::Listener* listener = nullptr;
  std::size_t upstream = 0;
  std::vector<std::shared_ptr<extension::NetworkFilterFactory>> filters;
  std::string unavailable;  // why connections are closed, naming the plugin; empty: it serves
};

class Snapshot {
 public:
  // `tls`: of that configuration; null: nothing of it speaks TLS.
  Snapshot(std::shared_ptr<const config::Config> config, const std::vector<FilterBinding>& filters,
           NativeFilters& natives, metrics::Registry& metrics,
           std::shared_ptr<const TlsContexts> tls = nullptr, const PluginBindings& plugins = {});
  ~Snapshot();
  Snapshot(const Snapshot&) = delete;
  Snapshot& operator=(const Snapshot&) = delete;

  const config::Config& config() const { return *config_; }
  const std::shared_ptr<const config::Config>& shared_config() const { return config_; }
  const TlsContexts& tls() const { return *tls_; }
  const Router& router() const { return router_; }
  const RouteEntry& route(std::size_t index) const { return routes_[index]; }
  const RouteEntry& unrouted() const { return unrouted_; }
  const std::vector<RouteEntry>& routes() const { return routes_; }
  const std::vector<UpstreamEntry>& upstreams() const { return upstreams_; }
  // Which routes of plugins do not serve at their own path, and why.
  const std::vector<std::string>& conflicts() const { return plugin_routes_.conflicts; }
  // Filters that routes or TCP listeners name and that are nowhere: why those do not serve.
  const std::vector<std::string>& missing() const { return missing_; }
  // Null when there is no route of this id.
  const RouteEntry* find_route(std::string_view id) const;
  // Null when the configuration has no TCP listener of this name.
  const TcpEntry* find_tcp(std::string_view listener) const;
  // Index of an upstream by name; RouteMatch::kNone when there is none.
  std::size_t find_upstream(std::string_view name) const;

 private:
  void bind(RouteEntry& entry, const std::vector<FilterBinding>& filters, NativeFilters& natives);
  void bind(RouteEntry& entry, const PluginRouteEntry& plugin, metrics::Registry& metrics);
  void bind(TcpEntry& entry, const std::vector<FilterBinding>& filters);
  // Why an entry that names this filter does not serve; empty: the filter is among `filters`.
  std::string missing_filter(const std::string& name, const std::vector<FilterBinding>& filters);

  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const TlsContexts> tls_;
  PluginRoutes plugin_routes_;
  std::vector<config::Route> all_routes_;  // of the configuration, then of plugins
  Router router_;
  std::vector<RouteEntry> routes_;
  RouteEntry unrouted_;
  std::vector<TcpEntry> tcp_;
  std::vector<UpstreamEntry> upstreams_;
  std::vector<std::string> missing_;                       // each once
  std::map<std::string, UpstreamMetrics> origin_metrics_;  // of plugins, by name
  std::unordered_map<std::string_view, std::size_t> upstream_names_;
  std::shared_ptr<metrics::Gauge> live_;
};

}  // namespace heddle::gateway
