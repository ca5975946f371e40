#include "contracts/route/manifest.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "contracts/route/route_path.h"

namespace heddle::route {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

constexpr std::string_view kGuide = R"({
  "name": "my-plugin",
  "version": "1.0.0",
  "routes": [
    { "path": "/api/items", "method": "GET", "handler": "list_items" },
    { "path": "/api/items", "method": "POST", "handler": "create_item" }
  ],
  "pages": [],
  "wasm_entry": "my_plugin.wasm"
})";

TEST(ManifestTest, TheGuidesExample) {
  const auto manifest = parse_manifest(kGuide);
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->name, "my-plugin");
  EXPECT_EQ(manifest->version, "1.0.0");
  EXPECT_EQ(manifest->wasm_entry, "my_plugin.wasm");
  EXPECT_EQ(manifest->pages, "[]");
  ASSERT_EQ(manifest->routes.size(), 2U);
  EXPECT_EQ(manifest->routes[1].method, "POST");
  EXPECT_EQ(manifest->routes[1].path, "/api/items");
  EXPECT_EQ(manifest->routes[1].handler, "create_item");
  EXPECT_FALSE(manifest->routes[1].auth);
}

TEST(ManifestTest, EventsThatItWantsToHear) {
  const auto manifest = parse_manifest(R"({"name":"n","version":"1","events":[
      {"name":"order.*","handler":"on_order"},{"name":"*","handler":"on_any"}]})");
  ASSERT_TRUE(manifest) << manifest.error().message;
  ASSERT_EQ(manifest->events.size(), 2U);
  EXPECT_EQ(manifest->events[0].name, "order.*");
  EXPECT_EQ(manifest->events[1].handler, "on_any");
  for (const auto& [events, said] :
       {std::pair(R"("x")", "$.events: must be an array"),
        std::pair(R"([1])", "$.events[0]: must be an object"),
        std::pair(R"([{"name":"a"}])", "$.events[0].handler: is missing"),
        std::pair(R"([{"name":"a b","handler":"h"}])", "$.events[0].name: \"a b\" is no event"),
        std::pair(R"([{"name":"*.b","handler":"h"}])", "$.events[0].name"),
        std::pair(R"([{"name":".*","handler":"h"}])", "$.events[0].name")}) {
    const auto wrong =
        parse_manifest(R"({"name":"n","version":"1","events":)" + std::string(events) + "}");
    ASSERT_FALSE(wrong) << events;
    EXPECT_THAT(wrong.error().message, StartsWith(said));
  }
}

TEST(ManifestTest, EverythingThatARouteMaySay) {
  const auto manifest =
      parse_manifest(R"({"name":"n","version":"1","config":{"a":[1], "ratio":0.10},
    "permissions":["network",{"custom":"x"}],"pages":[{"route":"/p","title":"P"}],
    "routes":[{"path":"/a/{id}/*","method":"delete","handler":"h","requires_auth":true,"timeout":"2s",
      "description":"d","request_schema":{"type":"object"},"response_schema":true,"rate_limit":5}]})");
  ASSERT_TRUE(manifest) << manifest.error().message;
  const ManifestRoute& route = manifest->routes[0];
  EXPECT_EQ(route.pattern, "/a/:id/*");
  EXPECT_EQ(route.method, "DELETE");
  EXPECT_TRUE(route.auth);
  EXPECT_EQ(route.timeout, std::chrono::seconds(2));
  EXPECT_EQ(route.request_schema, R"({"type":"object"})");
  EXPECT_EQ(route.response_schema, "true");
  EXPECT_EQ(manifest->config, R"({"a":[1], "ratio":0.10})");
  EXPECT_THAT(manifest->permissions, testing::ElementsAre("network", R"({"custom":"x"})"));
  EXPECT_THAT(manifest->text, HasSubstr("rate_limit"));  // what is not known is kept
}

struct Wrong {
  std::string text;
  std::string error;
};

std::string routes(const std::string& items) {
  return R"({"name":"n","version":"1","routes":[)" + items + "]}";
}

TEST(ManifestTest, ErrorsNameTheJsonPath) {
  const std::string ok = R"({"path":"/a/:x","method":"GET","handler":"h"})";
  const std::vector<Wrong> cases = {
      {"", "$: is not JSON: "},
      {"{\n \"name\": oops}", "at line 2, column 10"},
      {"[]", "$: must be an object, but is an array"},
      {"{} {}", "$: is not JSON: extra data"},
      {std::string(100, '['), "$: is not JSON: "},
      {"{}", "$.name: is missing"},
      {R"({"name":7,"version":"1"})", "$.name: must be a string, but is a number"},
      {R"({"name":"a b","version":"1"})", "$.name: \"a b\" is no name"},
      {R"({"name":"a","version":""})", "$.version: is empty"},
      {R"({"name":"a","version":"1","routes":{}})", "$.routes: must be an array, but is an object"},
      {R"({"name":"a","version":"1","pages":[1]})", "$.pages[0]: must be an object"},
      {R"({"name":"a","version":"1","wasm_entry":"../x.wasm"})", "$.wasm_entry: must name a file"},
      {routes("3"), "$.routes[0]: must be an object, but is a number"},
      {routes(ok + R"(,{"path":"/b","method":"GET"})"), "$.routes[1].handler: is missing"},
      {routes(R"({"path":"b","method":"GET","handler":"h"})"),
       "$.routes[0].path: \"b\": it does not"},
      {routes(R"({"path":"/b","method":"BREW","handler":"h"})"),
       "$.routes[0].method: \"BREW\" is none"},
      {routes(R"({"path":"/b","method":"GET","handler":"h","timeout":"soon"})"),
       "$.routes[0].timeout: "},
      {routes(R"({"path":"/b","method":"GET","handler":"h","timeout":0})"),
       "$.routes[0].timeout: must be"},
      {routes(R"({"path":"/b","method":"GET","handler":"h","auth":"yes"})"),
       "$.routes[0].auth: must be true"},
      {routes(R"({"path":"/b","method":"GET","handler":"h","request_schema":1})"),
       "$.routes[0].request_schema: "},
      {routes(ok + R"(,{"path":"/a/{other}","method":"get","handler":"h"})"),
       "$.routes[1]: GET /a/{other} is served by $.routes[0] already"},
  };
  for (const Wrong& wrong : cases) {
    const auto manifest = parse_manifest(wrong.text);
    ASSERT_FALSE(manifest) << wrong.text;
    EXPECT_THAT(manifest.error().message, HasSubstr(wrong.error)) << wrong.text;
    EXPECT_THAT(manifest.error().message, StartsWith("$"));
  }
}

TEST(ManifestTest, TooLarge) {
  const auto manifest = parse_manifest(std::string(kMaxManifest + 1, ' '));
  ASSERT_FALSE(manifest);
  EXPECT_THAT(manifest.error().message, HasSubstr("at most"));
}

TEST(RoutePathTest, Patterns) {
  for (const auto& [path, pattern] :
       std::vector<std::pair<std::string, std::string>>{{"/", "/"},
                                                        {"/a/b", "/a/b"},
                                                        {"/a/", "/a/"},
                                                        {"/a/{id}", "/a/:id"},
                                                        {"/a/:id/b/{other-1}", "/a/:id/b/:other-1"},
                                                        {"/*", "/*"},
                                                        {"/files/:x/*", "/files/:x/*"}}) {
    EXPECT_EQ(to_pattern(path).value(), pattern) << path;
  }
  for (const std::string path :
       {"a",   "",    "//a", "/a//b", "/a/../b", "/./a",  "/a?b",  "/a#b",   "/a b",      "/a/*/b",
        "/a*", "/{}", "/:",  "/:1",   "/a/{x",   "/a/x}", "/a{x}", "/:a/:a", "/\xC3\xA4", "/a\n"}) {
    EXPECT_FALSE(to_pattern(path)) << path;
  }
}

TEST(RoutePathTest, Shapes) {
  EXPECT_EQ(shape_of("/a/:id/b/:x"), "/a/:/b/:");
  EXPECT_EQ(shape_of("/a/:id/*"), "/a/:/*");
  EXPECT_EQ(shape_of("/a:b/c"), "/a:b/c");
}

}  // namespace
}  // namespace heddle::route
