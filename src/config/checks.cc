#include "config/checks.h"

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace heddle::config {
namespace {

class Checker {
 public:
  Checker(const Config& config, const Places& places, Problems& problems)
      : config_(config), places_(places), problems_(problems) {}

  void run() {
    unique_names();
    listeners();
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) listener_tls(i);
    for (std::size_t i = 0; i < config_.upstreams.size(); ++i) upstream_tls(i);
    admin();
    message_hooks();
    upstreams();
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) tcp_listener(i);
    filters(config_.rate_limit, config_.cors, "");
    for (std::size_t i = 0; i < config_.routes.size(); ++i) {
      route(i);
      filters(config_.routes[i].rate_limit, config_.routes[i].cors, item_path("routes", i));
    }
    for (std::size_t i = 0; i < config_.plugins.size(); ++i) {
      const std::vector<std::string>& filters = config_.plugins[i].filters;
      plugins_exist({filters.begin(), filters.end()},
                    child_path(item_path("plugins", i), "filters"));
    }
    if (!problems_.has_errors()) same_routes();
  }

 private:
  // Two items of a list with the same `key`: both places are told. An item without the value was
  // reported before.
  template <typename Item>
  void unique(std::string_view list, std::string_view key, const std::vector<Item>& items,
              std::string Item::* member, std::string_view what) {
    std::map<std::string, std::size_t, std::less<>> first;
    for (std::size_t i = 0; i < items.size(); ++i) {
      const std::string& text = items[i].*member;
      if (text.empty()) continue;
      const auto [found, fresh] = first.emplace(text, i);
      if (fresh) continue;
      const Mark other = places_.of(child_path(item_path(list, found->second), key));
      const std::string path = child_path(item_path(list, i), key);
      problems_.error(places_.of(path), path,
                      concat("there are two ", what, " ", quote(text), "; the other is at ",
                             to_string(problems_.location(other))),
                      "rename or remove one of them");
    }
  }

  void unique_names() {
    unique("listeners", "name", config_.listeners, &Listener::name, "listeners named");
    unique("upstreams", "name", config_.upstreams, &Upstream::name, "upstreams named");
    unique("plugins", "name", config_.plugins, &Plugin::name, "plugins named");
    unique("routes", "id", config_.routes, &Route::id, "routes with the id");
  }

  static bool any_port(std::string_view address) { return address.ends_with(":0"); }

  void listeners() {
    std::map<std::string_view, std::size_t> first;
    for (std::size_t i = 0; i < config_.listeners.size(); ++i) {
      const std::string& address = config_.listeners[i].address;
      const std::string path = child_path(item_path("listeners", i), "address");
      if (any_port(address) || problems_.has_errors_at(path)) continue;
      const auto [found, fresh] = first.emplace(address, i);
      if (!fresh) {
        const Mark other = places_.of(child_path(item_path("listeners", found->second), "address"));
        problems_.error(places_.of(path), path,
                        concat("two listeners have the address ", quote(address),
                               "; the other is at ", to_string(problems_.location(other))),
                        "give them different ports");
      }
      if (config_.admin.enabled && address == config_.admin.address) {
        problems_.error(places_.of(path), path,
                        concat("the admin API has the address ", quote(address), " too"),
                        "give them different ports");
      }
    }
  }

  void tcp_listener(std::size_t index) {
    const Listener& listener = config_.listeners[index];
    const std::string path = item_path("listeners", index);
    if (!listener.is_tcp()) {
      http_listener(listener, path);
      return;
    }
    const std::string own = child_path(path, "upstream");
    if (listener.upstream.empty()) {
      problems_.error(places_.of(path), own,
                      concat("a listener of the protocol ", listener.protocol,
                             " passes its connections on to an upstream, and this names none"),
                      "for example upstream: database");
    } else {
      upstream_exists(listener.upstream, own);
      const auto found = std::ranges::find(config_.upstreams, listener.upstream, &Upstream::name);
      if (found != config_.upstreams.end() && !found->builtin.empty()) {
        problems_.error(
            places_.of(own), own,
            concat("the upstream ", quote(listener.upstream), " is built in and speaks HTTP only"),
            "name one that has endpoints");
      }
    }
    plugins_exist({listener.plugins.begin(), listener.plugins.end()}, child_path(path, "plugins"));
  }

  void http_listener(const Listener& listener, const std::string& path) {
    for (const auto& [given, key, where] :
         {std::tuple(!listener.upstream.empty(), "upstream", "routes name the upstreams of HTTP"),
          std::tuple(!listener.plugins.empty(), "plugins", "routes name the plugins of HTTP")}) {
      if (!given) continue;
      const std::string own = child_path(path, key);
      problems_.error(places_.of(own), own, concat("is for TCP listeners; ", where),
                      "move it to routes:, or set protocol: tcp");
    }
  }

  void listener_tls(std::size_t index) {
    const Listener& listener = config_.listeners[index];
    const ListenerTls& tls = listener.tls;
    const std::string path = child_path(item_path("listeners", index), "tls");
    if (problems_.has_errors_at(path)) return;
    if (problems_.has_errors_at(child_path(item_path("listeners", index), "protocol"))) return;
    if (tls.enabled != listener.speaks_tls()) {
      if (tls.enabled) {
        problems_.error(places_.of(path), path,
                        concat("the protocol ", listener.protocol, " is without TLS"),
                        listener.is_tcp() ? "set protocol: tls" : "set protocol: https");
      } else {
        problems_.error(places_.of(path), path,
                        concat("the protocol ", listener.protocol, " needs a certificate"),
                        "for example tls: {cert_file: server.pem, key_file: server.key}");
      }
      return;
    }
    if (tls.enabled && tls.cert_file.empty()) {
      problems_.error(places_.of(path), child_path(path, "cert_file"), "is missing",
                      "for example cert_file: server.pem");
    }
    key_without_certificate(tls.cert_file, tls.key_file, path);
    const std::string asked = child_path(path, "client_certificate");
    if (tls.client_certificate == "optional" && tls.client_ca_file.empty()) {
      problems_.error(places_.of(asked), asked, "no authority of clients' certificates is named",
                      "for example client_ca_file: clients-ca.pem");
    }
  }

  void upstream_tls(std::size_t index) {
    const UpstreamTls& tls = config_.upstreams[index].tls;
    const std::string path = child_path(item_path("upstreams", index), "tls");
    key_without_certificate(tls.cert_file, tls.key_file, path);
    if (tls.enabled && !tls.verify) {
      problems_.warning(places_.of(child_path(path, "verify")), child_path(path, "verify"),
                        "whoever answers at the endpoints' addresses is trusted",
                        "name the authority: ca_file: internal-ca.pem");
    }
  }

  void key_without_certificate(const std::string& cert_file, const std::string& key_file,
                               const std::string& path) {
    if (key_file.empty() || !cert_file.empty()) return;
    const std::string own = child_path(path, "key_file");
    problems_.error(places_.of(own), own, "a key without its certificate",
                    "for example cert_file: server.pem");
  }

  static bool is_loopback(std::string_view address) {
    return address.starts_with("127.") || address.starts_with("[::1]") ||
           address.starts_with("localhost:");
  }

  void admin() {
    const Admin& admin = config_.admin;
    if (!admin.enabled) return;
    if (admin.auth_enabled && admin.users.empty() && !problems_.has_errors_at("admin.auth.users")) {
      problems_.error(places_.of("admin.auth.enabled"), "admin.auth.users",
                      "authentication is enabled, but there are no users",
                      "for example users: {admin: \"$2y$10$…\"}");
    }
    if (!admin.auth_enabled && !is_loopback(admin.address)) {
      problems_.warning(places_.of("admin.address"), "admin.address",
                        concat("whoever reaches ", quote(admin.address),
                               " may change plugins, as authentication is off"),
                        "use 127.0.0.1:9091, or enable admin.auth");
    }
  }

  void message_hooks() {
    if (!config_.messaging.hooks.enabled || config_.messaging.enabled) return;
    problems_.warning(places_.of("messaging.hooks"), "messaging.hooks",
                      "its plugins are loaded, but nothing calls them, as the message service does "
                      "not run",
                      "messaging: {enabled: true}");
  }

  void upstreams() {
    for (std::size_t i = 0; i < config_.upstreams.size(); ++i) {
      const Upstream& upstream = config_.upstreams[i];
      const std::string path = item_path("upstreams", i);
      const bool has_endpoints = !upstream.endpoints.empty();
      const bool has_builtin = !upstream.builtin.empty();
      const bool reported = problems_.has_errors_at(path);
      if (has_endpoints && has_builtin) {
        problems_.error(places_.of(child_path(path, "builtin")), path,
                        "has both endpoints and builtin", "keep one of them");
      } else if (!has_endpoints && !has_builtin && !reported) {
        problems_.error(places_.of(path), path, "has neither endpoints nor builtin",
                        "for example endpoints: [\"127.0.0.1:9000\"]");
      } else if (upstream.builtin == "messages" && !config_.messaging.enabled) {
        problems_.error(places_.of(child_path(path, "builtin")), path,
                        "is the message service, which does not run", "messaging: {enabled: true}");
      }
    }
    // Plugins may bring routes of their own.
    if (config_.routes.empty() && config_.plugins.empty() && config_.plugin_directories.empty() &&
        !problems_.has_errors() && !std::ranges::all_of(config_.listeners, &Listener::is_tcp)) {
      problems_.warning({}, "routes", "there are no routes; every request is answered with 404",
                        "for example routes: [{path: /*, upstream: api}]");
    }
  }

  template <typename Item>
  static std::vector<std::string_view> names(const std::vector<Item>& items) {
    std::vector<std::string_view> out;
    out.reserve(items.size());
    for (const Item& item : items) out.push_back(item.name);
    return out;
  }

  static std::string suggestion(std::string_view name, const std::vector<std::string_view>& known) {
    const std::string_view near = nearest(name, known);
    if (!near.empty()) return concat("did you mean \"", near, "\"?");
    return known.empty() ? "there are none" : concat("there are: ", join(known));
  }

  void route(std::size_t index) {
    const Route& route = config_.routes[index];
    const std::string path = item_path("routes", index);
    if (!route.upstream.empty()) upstream_exists(route.upstream, child_path(path, "upstream"));
    plugins_exist(names(route.plugins), child_path(path, "plugins"));
    route_methods(route, child_path(path, "methods"));
    if (!route.strip_prefix.empty() && !route.strip_prefix.starts_with('/')) {
      const std::string own = child_path(path, "strip_prefix");
      problems_.error(places_.of(own), own,
                      concat(quote(route.strip_prefix), " does not begin with /"),
                      "for example /api");
    }
  }

  // Where a route has the common settings, they are judged once, at their own place.
  void filters(const RateLimit& limit, const Cors& cors, const std::string& owner) {
    const std::string limit_path = child_path(owner, "rate_limit");
    if (places_.has(limit_path) && limit.enabled && limit.key == "header" && limit.header.empty()) {
      const std::string own = child_path(limit_path, "header");
      problems_.error(places_.of(limit_path), own, "key: header needs the header's name",
                      "for example header: x-api-key");
    }
    const std::string cors_path = child_path(owner, "cors");
    if (!places_.has(cors_path) || !cors.enabled) return;
    const std::string origins = child_path(cors_path, "allow_origins");
    if (cors.allow_origins.empty()) {
      problems_.warning(places_.of(cors_path), origins, "names nobody, so no page may do anything",
                        "for example allow_origins: [\"https://app.example.com\"]");
    } else if (cors.allow_credentials &&
               std::ranges::find(cors.allow_origins, "*") != cors.allow_origins.end()) {
      const std::string own = child_path(cors_path, "allow_credentials");
      problems_.warning(places_.of(own), own,
                        "does not count for \"*\": every page could act as its visitor",
                        "name the origins in allow_origins");
    }
  }

  void upstream_exists(const std::string& name, const std::string& path) {
    const auto upstreams = names(config_.upstreams);
    if (std::ranges::find(upstreams, name) != upstreams.end()) return;
    problems_.error(places_.of(path), path, concat("there is no upstream ", quote(name)),
                    suggestion(name, upstreams));
  }

  void plugins_exist(const std::vector<std::string_view>& named, const std::string& path) {
    const auto plugins = names(config_.plugins);
    for (std::size_t i = 0; i < named.size(); ++i) {
      const std::string_view name = named[i];
      if (std::ranges::find(plugins, name) != plugins.end()) continue;
      const std::string own = item_path(path, i);
      if (config_.plugin_directories.empty()) {
        problems_.error(places_.of(own), own, concat("there is no plugin ", quote(name)),
                        suggestion(name, plugins));
      } else {
        problems_.warning(places_.of(own), own,
                          concat("no plugin ", quote(name), " stands under plugins:"),
                          "it must come from plugin_directories");
      }
    }
  }

  void route_methods(const Route& route, const std::string& path) {
    for (std::size_t i = 0; i < route.methods.size(); ++i) {
      const std::string& method = route.methods[i];
      if (std::ranges::none_of(method, [](char c) { return c >= 'a' && c <= 'z'; })) continue;
      const std::string own = item_path(path, i);
      problems_.warning(
          places_.of(own), own,
          concat(quote(method), " has lower-case letters; methods are case-sensitive"),
          "for example GET");
    }
  }

  static void append_matches(std::string& key, std::vector<Match> matches) {
    std::ranges::sort(matches, {},
                      [](const Match& match) { return std::tie(match.name, match.value); });
    for (const Match& match : matches) key += concat(match.name, "\n", match.value, "\n");
    key += '\r';
  }

  // Of two routes that match the same requests only the first is ever used.
  void same_routes() {
    std::map<std::string, std::size_t> first;
    for (std::size_t i = 0; i < config_.routes.size(); ++i) {
      const Route& route = config_.routes[i];
      std::string key =
          concat(route.host, "\n", route.path, "\n", std::to_string(route.priority), "\r");
      std::vector<std::string> methods = route.methods;
      std::ranges::sort(methods);
      for (const std::string& method : methods) key += concat(method, "\n");
      key += '\r';
      append_matches(key, route.headers);
      append_matches(key, route.query_params);
      const auto [found, fresh] = first.emplace(std::move(key), i);
      if (fresh) continue;
      const Mark other = places_.of(item_path("routes", found->second));
      const std::string path = item_path("routes", i);
      problems_.warning(places_.of(path), path,
                        concat("matches the same requests as the route at ",
                               to_string(problems_.location(other)), ", which comes first"),
                        "change one of them, or set priority");
    }
  }

  const Config& config_;
  const Places& places_;
  Problems& problems_;
};

}  // namespace

void check(const Config& config, const Places& places, Problems& problems) {
  Checker(config, places, problems).run();
}

}  // namespace heddle::config
