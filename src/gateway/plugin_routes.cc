#include "gateway/plugin_routes.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <set>

#include "gateway/origin_fixed.h"
#include "gateway/plugin_catalog.h"

namespace heddle::gateway {
namespace {

using extension::PluginRoute;

constexpr config::Milliseconds kBeyondTimeout{5'000};  // the plugin's own time-out answers first

// The same for paths that match the same requests.
std::string shape_of(std::string_view pattern) {
  std::string out;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t end = std::min(pattern.find('/', at + 1), pattern.size());
    const std::string_view segment = pattern.substr(at, end - at);
    out += segment.starts_with("/:") ? std::string_view("/:") : segment;
    at = end;
  }
  return out;
}

class Builder {
 public:
  Builder(const config::Config& config, const PluginBindings& plugins)
      : config_(config), plugins_(plugins.routes), calls_(plugins.calls) {
    for (const config::Route& route : config.routes) {
      if (route.host != "*" || !route.headers.empty() || !route.query_params.empty()) continue;
      const std::string owner = "route " + route.id + " of the configuration";
      for (const std::string& method : route.methods) claim(method, route.path, owner);
      if (route.methods.empty()) claim("*", route.path, owner);
    }
  }

  PluginRoutes build() {
    for (const RoutePluginBinding& plugin : plugins_) names_.emplace(plugin.name, &plugin);
    for (const RoutePluginBinding& plugin : plugins_) add(plugin);
    add_methods();
    const bool routed = std::ranges::any_of(
        config_.upstreams, [](const auto& upstream) { return upstream.builtin == "rpc"; });
    for (const RpcPluginBinding& plugin : calls_) {
      if (!routed) add(plugin);
    }
    if (config_.plugin_api && !plugins_.empty()) add_catalog();
    return std::move(out_);
  }

 private:
  // Who has the method and path; empty: nobody had, and now `owner` has.
  std::string claim(std::string_view method, std::string_view path, const std::string& owner) {
    const std::string shape = shape_of(path);
    if (const auto any = owners_.find("* " + shape); any != owners_.end()) return any->second;
    const auto [found, fresh] = owners_.emplace(fmt::format("{} {}", method, shape), owner);
    return fresh ? std::string() : found->second;
  }

  void add(const RoutePluginBinding& plugin) {
    if (!plugin.enabled) return;
    if (!plugin.plugin) {
      PluginRouteEntry& entry = add_route(plugin, prefix_of(plugin.name) + "/*", {});
      entry.unavailable = plugin.error;
      return;
    }
    const std::string& own = plugin.plugin->route_plugin()->table().name;
    add_routes(plugin, "");
    add_routes(plugin, prefix_of(plugin.name));
    if (own == plugin.name) return;
    const auto [other, fresh] = names_.emplace(own, &plugin);
    if (fresh) return add_routes(plugin, prefix_of(own));
    out_.conflicts.push_back(fmt::format(
        "plugins {} and {} are both named {} by manifest or entry; the second is served under {} "
        "only: rename one",
        other->second->name, plugin.name, own, prefix_of(plugin.name)));
  }

  void add(const RpcPluginBinding& plugin) {
    const std::string path = "/rpc/" + plugin.name;
    const std::string other = claim("*", path, "plugin " + plugin.name);
    if (!other.empty()) {
      out_.conflicts.push_back(fmt::format(
          "plugin {}: {} is served by {} already: change the path there, or write a route to an "
          "upstream with `builtin: rpc`",
          plugin.name, path, other));
      return;
    }
    for (const std::string_view rest : {"", "/ws"}) {
      PluginRouteEntry& entry =
          add_route("plugin:" + plugin.name, plugin.filters, fmt::format("{}{}", path, rest));
      entry.route.timeout = std::max(entry.route.timeout, plugin.timeout + kBeyondTimeout);
      entry.origin = plugin.origin;
      entry.unavailable = plugin.error;
    }
  }

  static std::string prefix_of(std::string_view name) {
    return fmt::format("{}{}", kPluginPrefix, name);
  }

  void add_routes(const RoutePluginBinding& plugin, const std::string& prefix) {
    extension::RoutePlugin& routes = *plugin.plugin->route_plugin();
    const std::vector<PluginRoute>& list = routes.table().routes;
    std::map<std::string, std::set<std::string>> methods;  // of each shape
    for (const PluginRoute& route : list) methods[shape_of(route.path)].insert(route.method);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string path = prefix + list[i].path;
      const std::string other = claim(list[i].method, path, "plugin " + plugin.name);
      if (!other.empty()) {
        tell_conflict(plugin, list[i], prefix, other);
        continue;
      }
      Taken& taken = taken_.try_emplace(shape_of(path), Taken{path, &plugin, {}}).first->second;
      taken.methods.insert(list[i].method);
      std::vector<std::string> allowed{list[i].method};
      const bool own_head = methods[shape_of(list[i].path)].contains("HEAD");
      if (list[i].method == "GET" && !own_head) allowed.emplace_back("HEAD");
      PluginRouteEntry& entry = add_route(plugin, path, std::move(allowed));
      entry.route.id = fmt::format("plugin:{} {} {}", plugin.name, list[i].method, list[i].path);
      entry.route.timeout = std::max(entry.route.timeout, list[i].timeout + kBeyondTimeout);
      // A HEAD route of its own is asked before the GET route that would take HEAD too.
      if (list[i].method == "HEAD") entry.route.priority = 1;
      entry.origin = std::shared_ptr<extension::HttpOrigin>(plugin.plugin, &routes.origin(i));
    }
  }

  void tell_conflict(const RoutePluginBinding& plugin, const PluginRoute& route,
                     const std::string& prefix, const std::string& other) {
    if (!prefix.empty()) return;  // told for the literal path
    out_.conflicts.push_back(
        fmt::format("plugin {}: {} {} is served by {} already; {} serves it under {}{} only: "
                    "change the path in one of them",
                    plugin.name, route.method, route.path, other, plugin.name,
                    prefix_of(plugin.name), route.path));
  }

  // Behind the routes of all plugins: what a path that they serve answers to other methods.
  void add_methods() {
    for (auto& [shape, taken] : taken_) {
      std::set<std::string>& methods = taken.methods;
      if (methods.contains("GET")) methods.insert("HEAD");
      methods.insert("OPTIONS");
      PluginRouteEntry& entry = add_route(*taken.plugin, taken.path, {});
      entry.route.id = fmt::format("plugin:{} methods", taken.plugin->name);
      entry.origin = std::make_shared<MethodsOrigin>(fmt::format("{}", fmt::join(methods, ", ")));
    }
  }

  PluginRouteEntry& add_route(const RoutePluginBinding& plugin, std::string path,
                              std::vector<std::string> methods) {
    PluginRouteEntry& entry = add_route("plugin:" + plugin.name, plugin.filters, std::move(path));
    entry.route.methods = std::move(methods);
    return entry;
  }

  PluginRouteEntry& add_route(std::string name, const std::vector<std::string>& filters,
                              std::string path) {
    PluginRouteEntry& entry = add_route(std::move(name), std::move(path));
    for (const std::string& filter : filters) {
      entry.route.plugins.push_back({.name = filter, .configuration = {}, .location = {}});
    }
    return entry;
  }

  PluginRouteEntry& add_route(std::string name, std::string path) {
    PluginRouteEntry& entry = out_.routes.emplace_back();
    entry.route.id = name;
    entry.route.path = std::move(path);
    entry.route.upstream = name;
    entry.route.rate_limit = config_.rate_limit;
    entry.route.cors = config_.cors;
    entry.origin_name = std::move(name);
    return entry;
  }

  void add_catalog() {
    for (CatalogPage& page : make_catalog(plugins_)) {
      if (!claim("GET", page.path, "the catalog of plugins").empty()) continue;
      PluginRouteEntry& entry = add_route("plugins", page.path);
      entry.route.methods = {"GET", "HEAD"};
      entry.origin = std::make_shared<FixedOrigin>(
          FixedAnswer{.status = 200,
                      .headers = {{"content-type", "application/json"}},
                      .body = std::move(page.body)});
    }
  }

  const config::Config& config_;
  const std::vector<RoutePluginBinding>& plugins_;
  const std::vector<RpcPluginBinding>& calls_;
  std::map<std::string, const RoutePluginBinding*> names_;  // entries', then manifests'
  std::map<std::string, std::string> owners_;               // by "METHOD shape"
  struct Taken {
    std::string path;
    const RoutePluginBinding* plugin;
    std::set<std::string> methods;
  };
  std::map<std::string, Taken> taken_;  // by shape
  PluginRoutes out_;
};

}  // namespace

PluginRoutes make_plugin_routes(const config::Config& config, const PluginBindings& plugins) {
  return Builder(config, plugins).build();
}

std::vector<std::pair<std::string_view, std::string>> decode_parameters(const RouteMatch& match,
                                                                        std::string_view pattern,
                                                                        std::string_view path) {
  std::vector<std::pair<std::string_view, std::string>> out;
  out.reserve(match.parameters.size() + 1);
  for (const auto& [name, value] : match.parameters) {
    out.emplace_back(name, percent_decode(value, false));
  }
  if (!pattern.ends_with("/*")) return out;
  const auto slashes = std::ranges::count(pattern, '/');
  std::size_t at = 0;  // behind as many slashes as the pattern has
  for (std::ptrdiff_t i = 0; i < slashes && at != std::string_view::npos; ++i) {
    at = path.find('/', at);
    if (at != std::string_view::npos) ++at;
  }
  out.emplace_back("*", at == std::string_view::npos ? "" : percent_decode(path.substr(at), false));
  return out;
}

}  // namespace heddle::gateway
