#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json_write.h"
#include "gateway/plugin_catalog.h"

namespace heddle::gateway {
namespace {

namespace json = boost::json;
using extension::PluginRoute;

json::value parsed(const std::string& text) {
  boost::system::error_code error;
  json::value out = json::parse(text, error);
  return error ? json::value(json::object{}) : out;
}

struct Path {
  std::string text;   // "/items/{id}"
  std::string shape;  // "/items/{}": OpenAPI takes paths that differ in names only for the same
  std::vector<std::string> names;
  json::array parameters;

  void add_parameter(std::string name, std::string_view description);
};

json::object parameter(std::string_view name, std::string_view description) {
  json::object out{
      {"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}};
  if (!description.empty()) out["description"] = description;
  return out;
}

void Path::add_parameter(std::string name, std::string_view description) {
  const std::string wanted = name;
  for (int i = 2; std::ranges::find(names, name) != names.end(); ++i)
    name = fmt::format("{}_{}", wanted, i);
  text += fmt::format("/{{{}}}", name);
  shape += "/{}";
  parameters.push_back(parameter(name, description));
  names.push_back(std::move(name));
}

// The rest of a path is no idea of OpenAPI's: it becomes a parameter that says so.
Path to_openapi(std::string_view pattern) {
  Path out;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t end = std::min(pattern.find('/', at + 1), pattern.size());
    const std::string_view segment = pattern.substr(at + 1, end - at - 1);
    at = end;
    if (segment == "*") {
      out.add_parameter("rest", "the rest of the path, slashes included");
    } else if (segment.starts_with(':')) {
      out.add_parameter(std::string(segment.substr(1)), "");
    } else {
      out.text += fmt::format("/{}", segment);
      out.shape += fmt::format("/{}", segment);
    }
  }
  return out;
}

json::object content(const std::string& schema) {
  return {{"application/json",
           {{"schema", schema.empty() ? json::value(json::object{}) : parsed(schema)}}}};
}

// Of the routes of one handler each has another.
std::string operation_id(const RoutePluginBinding& plugin, const PluginRoute& route,
                         std::set<std::string>& taken) {
  const std::string wanted = fmt::format("{}_{}", plugin.name, route.handler);
  std::string out = wanted;
  for (int i = 2; !taken.insert(out).second; ++i) out = fmt::format("{}_{}", wanted, i);
  return out;
}

json::object operation(const RoutePluginBinding& plugin, const PluginRoute& route,
                       const std::string& id, const Path& path) {
  json::object out{
      {"operationId", id},
      {"tags", json::array{json::value(plugin.name)}},
      {"responses",
       {{"200",
         {{"description", "What the handler answers"},
          {"content", content(route.response_schema)}}},
        {"default",
         {{"description", "The plugin failed, a limit was reached, or the request was refused"},
          {"content",
           {{"application/json", {{"schema", {{"$ref", "#/components/schemas/Error"}}}}}}}}}}}};
  if (!route.summary.empty()) out["summary"] = route.summary;
  if (!path.parameters.empty()) out["parameters"] = path.parameters;
  const bool has_body = route.method == "POST" || route.method == "PUT" || route.method == "PATCH";
  if (has_body || !route.request_schema.empty()) {
    out["requestBody"] = {{"content", content(route.request_schema)}};
  }
  if (route.auth) {
    out["security"] = {json::object{{"bearer", json::array{}}},
                       json::object{{"basic", json::array{}}}};
  }
  return out;
}

json::object components() {
  const json::object text{{"type", "string"}};
  const json::object error{
      {"type", "object"},
      {"properties", {{"code", text}, {"message", text}, {"request_id", text}}},
      {"required", {"code", "message"}}};
  return {{"schemas",
           {{"Error",
             {{"type", "object"}, {"properties", {{"error", error}}}, {"required", {"error"}}}}}},
          {"securitySchemes",
           {{"bearer", {{"type", "http"}, {"scheme", "bearer"}, {"bearerFormat", "JWT"}}},
            {"basic", {{"type", "http"}, {"scheme", "basic"}}}}}};
}

}  // namespace

std::string make_openapi(const std::vector<RoutePluginBinding>& plugins) {
  json::object paths;
  json::array tags;
  std::map<std::string, Path> shapes;  // the first path of each
  std::set<std::string> ids;
  for (const RoutePluginBinding& plugin : plugins) {
    if (!plugin.plugin) continue;
    const extension::RouteTable& table = plugin.plugin->route_plugin()->table();
    tags.push_back({{"name", plugin.name}, {"description", table.description}});
    for (const PluginRoute& route : table.routes) {
      Path own = to_openapi(route.path);
      std::string shape = own.shape;
      const Path& path = shapes.try_emplace(std::move(shape), std::move(own)).first->second;
      std::string method = route.method;
      std::ranges::transform(method, method.begin(),
                             [](char c) { return static_cast<char>(c - 'A' + 'a'); });
      json::value& item = paths.emplace(path.text, json::object{}).first->value();
      // Of two plugins with the same route the first serves it.
      if (item.get_object().contains(method)) continue;
      item.get_object().emplace(method,
                                operation(plugin, route, operation_id(plugin, route, ids), path));
    }
  }
  return write_json(
      json::object{{"openapi", "3.1.0"},
                   {"info", {{"title", "Routes of plugins"}, {"version", HEDDLE_VERSION}}},
                   {"tags", std::move(tags)},
                   {"paths", std::move(paths)},
                   {"components", components()}});
}

}  // namespace heddle::gateway
