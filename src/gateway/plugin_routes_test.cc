#include "gateway/plugin_routes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "gateway/plugin_catalog.h"

namespace heddle::gateway {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pair;

class NowhereOrigin final : public extension::HttpOrigin {
 public:
  http::Sender& start(net::Worker&, extension::ExchangeInfo&, http::Receiver&) override {
    std::abort();  // routes are only looked at here
  }
};

class RoutesOnly final : public extension::LoadedPlugin, public extension::RoutePlugin {
 public:
  explicit RoutesOnly(extension::RouteTable table) : table_(std::move(table)) {}
  std::string_view kind() const override { return "route"; }
  Result<void> start(net::Worker&) override { return {}; }
  void stop(net::Worker&) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  extension::RoutePlugin* route_plugin() override { return this; }
  extension::PluginStats stats() const override { return {}; }
  const extension::RouteTable& table() const override { return table_; }
  extension::HttpOrigin& origin(std::size_t) override { return origin_; }
  void execute(net::Worker&, std::move_only_function<void(Result<std::int32_t>)> done) override {
    done(0);
  }

 private:
  extension::RouteTable table_;
  NowhereOrigin origin_;
};

RoutePluginBinding binding(const std::string& name, std::vector<extension::PluginRoute> routes,
                           const std::string& manifest_name = "") {
  extension::RouteTable table;
  table.name = manifest_name.empty() ? name : manifest_name;
  table.version = "1.0.0";
  table.pages = R"([{"route":"/p"}])";
  table.routes = std::move(routes);
  RoutePluginBinding out;
  out.name = name;
  out.plugin = std::make_shared<RoutesOnly>(std::move(table));
  return out;
}

extension::PluginRoute route(const std::string& method, const std::string& path) {
  extension::PluginRoute out;
  out.method = method;
  out.path = path;
  out.handler = "handle";
  return out;
}

// "METHODS path" of what is served, in the router's words.
std::vector<std::string> served(const PluginRoutes& routes) {
  std::vector<std::string> out;
  for (const PluginRouteEntry& entry : routes.routes) {
    std::string text;
    for (const std::string& method : entry.route.methods) text += method + " ";
    out.push_back(text + entry.route.path);
  }
  return out;
}

config::Config without_catalog() {
  config::Config out;
  out.plugin_api = false;
  return out;
}

TEST(PluginRoutesTest, LiteralAndPrefixedPathsAndTheOtherMethods) {
  const auto routes = make_plugin_routes(
      without_catalog(),
      {.routes = {binding("notes", {route("GET", "/n/:id"), route("DELETE", "/n/:id")})},
       .calls = {}});
  EXPECT_THAT(served(routes),
              ElementsAre("GET HEAD /n/:id", "DELETE /n/:id", "GET HEAD /api/plugins/notes/n/:id",
                          "DELETE /api/plugins/notes/n/:id",
                          // every other method
                          "/api/plugins/notes/n/:id", "/n/:id"));
  EXPECT_TRUE(routes.conflicts.empty());
}

TEST(PluginRoutesTest, OfTwoPluginsTheFirstServesTheLiteralPath) {
  const auto routes = make_plugin_routes(
      without_catalog(),
      {.routes = {binding("a", {route("GET", "/x/:id")}), binding("b", {route("GET", "/x/:k")})},
       .calls = {}});
  ASSERT_EQ(routes.conflicts.size(), 1U);
  EXPECT_THAT(routes.conflicts[0], HasSubstr("plugin b: GET /x/:k is served by plugin a already"));
  EXPECT_THAT(served(routes), Contains("GET HEAD /api/plugins/b/x/:k"));
  EXPECT_THAT(served(routes), testing::Not(Contains("GET HEAD /x/:k")));
}

TEST(PluginRoutesTest, TheConfigurationComesFirst) {
  config::Config config = without_catalog();
  config::Route own;
  own.id = "mine";
  own.path = "/x";
  config.routes.push_back(own);
  const auto routes =
      make_plugin_routes(config, {.routes = {binding("a", {route("GET", "/x")})}, .calls = {}});
  ASSERT_EQ(routes.conflicts.size(), 1U);
  EXPECT_THAT(routes.conflicts[0], HasSubstr("served by route mine of the configuration"));
}

TEST(PluginRoutesTest, TheNameOfTheManifestServesToo) {
  const auto routes = make_plugin_routes(
      without_catalog(),
      {.routes = {binding("entry", {route("GET", "/x")}, "own"), binding("other", {}, "own")},
       .calls = {}});
  EXPECT_THAT(served(routes), Contains("GET HEAD /api/plugins/own/x"));
  EXPECT_THAT(served(routes), Contains("GET HEAD /api/plugins/entry/x"));
  EXPECT_THAT(routes.conflicts,
              ElementsAre(HasSubstr("plugins entry and other are both named own")));
}

TEST(PluginRoutesTest, APluginThatCannotBeLoadedIsUnavailable) {
  RoutePluginBinding broken;
  broken.name = "broken";
  broken.error = "plugin broken: is no module";
  const auto routes = make_plugin_routes(without_catalog(), {.routes = {broken}, .calls = {}});
  ASSERT_EQ(routes.routes.size(), 1U);
  EXPECT_EQ(routes.routes[0].route.path, "/api/plugins/broken/*");
  EXPECT_EQ(routes.routes[0].unavailable, broken.error);
}

TEST(PluginRoutesTest, PluginsThatAnswerCalls) {
  const RpcPluginBinding caller{.name = "c",
                                .origin = std::make_shared<NowhereOrigin>(),
                                .timeout = std::chrono::seconds(60),
                                .error = {},
                                .filters = {"guard"}};
  const auto routes = make_plugin_routes(without_catalog(), {.routes = {}, .calls = {caller}});
  EXPECT_THAT(served(routes), ElementsAre("/rpc/c", "/rpc/c/ws"));
  EXPECT_EQ(routes.routes[0].route.timeout, std::chrono::seconds(65));
  EXPECT_EQ(routes.routes[0].route.plugins.at(0).name, "guard");
  EXPECT_EQ(routes.routes[0].origin, caller.origin);
}

TEST(PluginRoutesTest, AnUpstreamForCallsTakesTheirPlace) {
  config::Config config = without_catalog();
  config.upstreams.emplace_back();
  config.upstreams.back().builtin = "rpc";
  const RpcPluginBinding caller{
      .name = "c", .origin = nullptr, .timeout = {}, .error = {}, .filters = {}};
  EXPECT_TRUE(make_plugin_routes(config, {.routes = {}, .calls = {caller}}).routes.empty());
}

TEST(PluginRoutesTest, ParametersAreDecoded) {
  const PluginRoutes routes = make_plugin_routes(
      without_catalog(), {.routes = {binding("f", {route("GET", "/files/:id/*")})}, .calls = {}});
  std::vector<config::Route> list;
  list.reserve(routes.routes.size());
  for (const PluginRouteEntry& entry : routes.routes) list.push_back(entry.route);
  const Router router(list);
  const http::HeadPtr head = http::make_head();
  http::HeaderMap& headers = head->headers;
  headers.add(":method", "GET");
  headers.add(":path", "/files/a%20b/x/y%2Fz");
  const RouteMatch match = router.match(headers);
  ASSERT_NE(match.route, RouteMatch::kNone);
  EXPECT_THAT(decode_parameters(match, list[match.route].path, "/files/a%20b/x/y%2Fz"),
              ElementsAre(Pair("id", "a b"), Pair("*", "x/y/z")));
}

TEST(PluginCatalogTest, ListPagesAndOpenApi) {
  auto post = route("POST", "/n/:id/*");
  post.request_schema = R"({"type":"object"})";
  post.auth = true;
  post.summary = "Makes one";
  const std::vector<RoutePluginBinding> plugins = {binding("notes", {route("GET", "/n"), post})};
  std::map<std::string, boost::json::value> pages;
  for (const CatalogPage& page : make_catalog(plugins))
    pages[page.path] = boost::json::parse(page.body);
  EXPECT_EQ(pages["/api/plugins"].at_pointer("/data/total").as_int64(), 1);
  EXPECT_EQ(pages["/api/plugins"].at_pointer("/data/plugins/0/routes_count").as_int64(), 2);
  EXPECT_EQ(pages["/api/plugins/notes/pages"].at_pointer("/data/pages/0/route").as_string(), "/p");
  const boost::json::value& api = pages["/openapi.json"];
  EXPECT_EQ(api.at("openapi").as_string(), "3.1.0");
  const boost::json::value& operation = api.at("paths").at("/n/{id}/{rest}").at("post");
  EXPECT_EQ(operation.at("summary").as_string(), "Makes one");
  EXPECT_EQ(operation.at("parameters").as_array().size(), 2U);
  EXPECT_TRUE(operation.as_object().contains("security"));
  EXPECT_EQ(operation.at_pointer("/requestBody/content/application~1json/schema/type").as_string(),
            "object");
}

TEST(PluginCatalogTest, OpenApiHasEachNameOnce) {
  const std::vector<RoutePluginBinding> plugins = {
      binding("a", {route("GET", "/x/:id"), route("DELETE", "/x/:key"), route("POST", "/x/*"),
                    route("GET", "/z/:rest/*")}),
      binding("b", {route("GET", "/x/:other"), route("PUT", "/x/:other")})};
  boost::json::value api;
  for (const CatalogPage& page : make_catalog(plugins)) {
    if (page.path == "/openapi.json") api = boost::json::parse(page.body);
  }
  std::vector<std::string> paths;
  std::vector<std::string> ids;
  for (const auto& [path, item] : api.at("paths").as_object()) {
    paths.emplace_back(path);
    for (const auto& [method, operation] : item.as_object()) {
      ids.emplace_back(operation.at("operationId").as_string());
      for (const auto& one : operation.at("parameters").as_array()) {
        EXPECT_THAT(paths.back(), HasSubstr("{" + std::string(one.at("name").as_string()) + "}"));
      }
    }
  }
  EXPECT_THAT(paths, ElementsAre("/x/{id}", "/z/{rest}/{rest_2}"));
  EXPECT_THAT(ids, ElementsAre("a_handle", "a_handle_2", "a_handle_3", "b_handle", "a_handle_4"));
}

}  // namespace
}  // namespace heddle::gateway
