#include "gateway/plugin_catalog.h"

#include <boost/json.hpp>

#include "base/json_write.h"

namespace heddle::gateway {
namespace {

namespace json = boost::json;

json::object success(json::object data) {
  return {{"success", true}, {"data", std::move(data)}};
}

json::array pages_of(const RoutePluginBinding& plugin) {
  if (!plugin.plugin) return {};
  boost::system::error_code error;
  json::value pages = json::parse(plugin.plugin->route_plugin()->table().pages, error);
  return !error && pages.is_array() ? pages.get_array() : json::array{};
}

json::object describe(const RoutePluginBinding& plugin) {
  json::object out{{"id", plugin.name}, {"name", plugin.name}, {"state", "running"}};
  if (!plugin.plugin) {
    out["state"] = plugin.enabled ? "error" : "disabled";
    // Why is for operators: the admin API tells.
    if (plugin.enabled) out["error"] = "could not be loaded";
    out["routes_count"] = 0;
    out["pages_count"] = 0;
    return out;
  }
  const extension::RouteTable& table = plugin.plugin->route_plugin()->table();
  out["manifest_name"] = table.name;
  out["version"] = table.version;
  out["description"] = table.description;
  out["author"] = table.author;
  out["routes_count"] = table.routes.size();
  out["pages_count"] = pages_of(plugin).size();
  out["loaded_at"] = plugin.loaded_at;
  return out;
}

json::array routes_of(const RoutePluginBinding& plugin) {
  json::array out;
  if (!plugin.plugin) return out;
  for (const extension::PluginRoute& route : plugin.plugin->route_plugin()->table().routes) {
    out.push_back({{"method", route.method},
                   {"path", route.path},
                   {"handler", route.handler},
                   {"auth", route.auth},
                   {"description", route.summary}});
  }
  return out;
}

}  // namespace

std::vector<CatalogPage> make_catalog(const std::vector<RoutePluginBinding>& plugins) {
  std::vector<CatalogPage> out;
  json::array list;
  for (const RoutePluginBinding& plugin : plugins) {
    const std::string path = std::string(kPluginPrefix) + plugin.name;
    json::object one = describe(plugin);
    list.push_back(one);
    json::array pages = pages_of(plugin);
    const std::size_t count = pages.size();
    out.push_back(
        {path + "/pages", write_json(success({{"pages", std::move(pages)}, {"total", count}}))});
    one["routes"] = routes_of(plugin);
    out.push_back({path, write_json(success(std::move(one)))});
  }
  const std::size_t total = list.size();
  out.push_back(
      {"/api/plugins", write_json(success({{"plugins", std::move(list)}, {"total", total}}))});
  out.push_back({"/openapi.json", make_openapi(plugins)});
  return out;
}

}  // namespace heddle::gateway
