#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "config/checks.h"

namespace heddle::config {
namespace {

constexpr const char* kMessages = "messages";  // the built-in upstream, and its route

bool absent(const Node& root, std::string_view key) {
  const Node* value = root.find(key);
  return value == nullptr || value->is_null();
}

void complete_listeners(Config& config, const Places& places, Problems& problems) {
  if (config.listeners.empty()) {
    config.listeners.emplace_back().location = problems.location({});
  }
  for (std::size_t i = 1; i < config.listeners.size(); ++i) {
    if (!places.has(child_path(item_path("listeners", i), "name"))) {
      config.listeners[i].name = concat("listener-", std::to_string(i + 1));
    }
  }
}

// A section that is there is meant, unless it says otherwise.
bool is_on(const Places& places, const std::string& path, bool enabled) {
  return enabled || (places.has(path) && !places.has(child_path(path, "enabled")));
}

void complete_tls(Config& config, const Places& places, Problems& problems) {
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    bool& enabled = config.listeners[i].tls.enabled;
    enabled = is_on(places, child_path(item_path("listeners", i), "tls"), enabled);
  }
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    Upstream& upstream = config.upstreams[i];
    const std::string path = item_path("upstreams", i);
    bool& enabled = upstream.tls.enabled;
    enabled = is_on(places, child_path(path, "tls"), enabled);
    std::size_t https = 0;
    for (Endpoint& endpoint : upstream.endpoints) {
      if (!endpoint.address.starts_with(kHttps)) continue;
      endpoint.address.erase(0, kHttps.size());
      ++https;
    }
    if (https > 0 && https < upstream.endpoints.size() && !enabled) {
      problems.error(places.of(child_path(path, "endpoints")), child_path(path, "endpoints"),
                     "some endpoints begin with https:// and some do not",
                     "make two upstreams, or write tls: {enabled: true} to speak TLS with all");
    }
    enabled = enabled || https > 0;
  }
}

// A file that has only `plugins:`, as in Loom's guide, must do something that can be seen.
void complete_routes(Config& config, const Node& root, Problems& problems) {
  if (!absent(root, "routes") || !absent(root, "upstreams")) return;
  const Location location = problems.location({});
  Upstream upstream;
  upstream.name = "echo";
  upstream.builtin = "echo";
  upstream.location = location;
  config.upstreams.push_back(std::move(upstream));
  Route route;
  route.id = "all";
  route.upstream = "echo";
  route.location = location;
  config.routes.push_back(std::move(route));
  // Of a file that is refused anyway it would only distract.
  if (problems.has_errors()) return;
  problems.warning({}, "",
                   "there are no routes and upstreams; every request is answered by the "
                   "built-in upstream echo",
                   "add upstreams: and routes:");
}

// The message service is asked under /v1, unless the file says where.
void complete_messaging(Config& config, Problems& problems) {
  if (!config.messaging.enabled) return;
  const Location location = problems.location({});
  if (std::ranges::any_of(config.upstreams,
                          [](const Upstream& each) { return each.builtin == kMessages; })) {
    return;
  }
  Upstream upstream;
  upstream.name = kMessages;
  upstream.builtin = kMessages;
  upstream.location = location;
  config.upstreams.push_back(std::move(upstream));
  Route route;
  route.id = kMessages;
  route.path = "/v1/*";
  route.upstream = kMessages;
  route.location = location;
  config.routes.push_back(std::move(route));
}

// The two names of a limit of OurChat's plugins are one.
void complete_hooks(Config& config, const Places& places, Problems& problems) {
  const std::string section = "messaging.hooks";
  MessageHooks& hooks = config.messaging.hooks;
  const auto merge = [&](std::string_view name, std::string_view other, bool given, auto& value,
                         auto other_value) {
    const std::string path = child_path(section, other);
    if (!given) return;
    if (places.has(child_path(section, name))) {
      problems.error(places.of(path), path,
                     concat("is another name of ", name, ", which is there too"),
                     "keep one of them");
    }
    value = other_value;
  };
  constexpr unsigned kMiB = 20;
  merge("max_memory", "max_memory_mb", hooks.max_memory_mb != 0, hooks.max_memory,
        std::size_t{hooks.max_memory_mb} << kMiB);
  merge("max_execution_time", "max_execution_time_ms", hooks.max_execution_time_ms != 0,
        hooks.max_execution_time, Milliseconds(hooks.max_execution_time_ms));
  hooks.max_memory_mb = 0;
  hooks.max_execution_time_ms = 0;
  hooks.enabled = is_on(places, section, hooks.enabled);
  if (!hooks.enabled || !hooks.directory.empty()) return;
  const std::filesystem::path file = problems.location(places.of(section)).file;
  hooks.directory = (file.parent_path() / "plugins").string();
}

// "/users/:id/*" -> "users-id"
std::string id_from_path(std::string_view path) {
  std::string id;
  for (const char c : path) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '.';
    if (word) {
      id += c;
    } else if (!id.empty() && id.back() != '-') {
      id += '-';
    }
    if (id.size() >= 64) break;
  }
  while (id.ends_with('-')) id.pop_back();
  return id.empty() ? "all" : id;
}

void complete_route_ids(Config& config) {
  std::set<std::string> taken;
  for (const Route& route : config.routes) taken.insert(route.id);
  for (Route& route : config.routes) {
    if (!route.id.empty()) continue;
    const std::string wanted = id_from_path(route.path);
    route.id = wanted;
    for (int number = 2; !taken.insert(route.id).second; ++number) {
      route.id = concat(wanted, "-", std::to_string(number));
    }
  }
}

// A section that is there is meant, unless it says otherwise.
void complete_upstreams(Config& config, const Places& places) {
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const std::string path = child_path(item_path("upstreams", i), "health_check");
    if (places.has(path) && !places.has(child_path(path, "enabled"))) {
      config.upstreams[i].health_check.enabled = true;
    }
  }
}

// Kinds of plugins differ in what they do by default.
void note_what_is_given(Config& config, const Places& places) {
  for (std::size_t i = 0; i < config.plugins.size(); ++i) {
    const std::string path = item_path("plugins", i);
    config.plugins[i].on_failure_given = places.has(child_path(path, "on_failure"));
    config.plugins[i].memory_limit_given = places.has(child_path(path, "memory_limit"));
  }
}

std::string default_cache_dir() {
  // The base directory specification: a relative XDG_CACHE_HOME is to be ignored.
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && *cache == '/') return concat(cache, "/heddle");
  const char* home = std::getenv("HOME");
  return home != nullptr && *home == '/' ? concat(home, "/.cache/heddle") : std::string();
}

void complete_burst(RateLimit& limit) {
  if (limit.burst == 0) limit.burst = limit.rate;
}

// A route without a filter of its own has the common one; one that has it means it.
void complete_filters(Config& config, const Places& places) {
  complete_burst(config.rate_limit);
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    Route& route = config.routes[i];
    const auto own = [&](std::string_view key, auto& settings, const auto& common) {
      const std::string path = child_path(item_path("routes", i), key);
      if (!places.has(path)) {
        settings = common;
      } else if (!places.has(child_path(path, "enabled"))) {
        settings.enabled = true;
      }
    };
    own("rate_limit", route.rate_limit, config.rate_limit);
    own("cors", route.cors, config.cors);
    complete_burst(route.rate_limit);
  }
}

}  // namespace

void complete(Config& config, const Node& root, const Places& places, Problems& problems) {
  complete_listeners(config, places, problems);
  complete_messaging(config, problems);
  complete_hooks(config, places, problems);
  if (!config.messaging.enabled) complete_routes(config, root, problems);
  complete_route_ids(config);
  complete_tls(config, places, problems);
  complete_upstreams(config, places);
  complete_filters(config, places);
  note_what_is_given(config, places);
  for (Plugin& plugin : config.plugins) {
    if (std::ranges::find(plugin.phases, "all") != plugin.phases.end()) plugin.phases.clear();
  }
  if (!places.has("engine.cache_dir")) config.engine.cache_dir = default_cache_dir();
}

}  // namespace heddle::config
