#include "gateway/router.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace heddle::gateway {
namespace {

struct Request {
  std::string method = "GET";
  std::string host = "a.example.com";
  std::string path = "/";
  std::vector<std::pair<std::string, std::string>> headers = {};
};

struct Case {
  std::string name;
  Request request;
  std::string route;  // id; empty: none
  std::string allow;
};

config::Route route(std::string id, std::string path, std::string host = "*") {
  config::Route out;
  out.id = std::move(id);
  out.path = std::move(path);
  out.host = std::move(host);
  return out;
}

std::vector<config::Route> routes() {
  std::vector<config::Route> out;
  out.push_back(route("any", "/*"));
  out.push_back(route("api", "/api/*"));
  out.push_back(route("exact", "/api/users"));
  out.push_back(route("param", "/api/:kind/:id"));
  out.push_back(route("host", "/host/*", "Api.Example.com"));
  out.push_back(route("wild", "/host/*", "*.example.com"));
  out.push_back(route("post", "/only-post"));
  out.back().methods = {"POST", "PUT"};
  out.back().priority = 5;
  out.push_back(route("get", "/only-get"));
  out.back().methods = {"GET"};
  out.back().priority = 5;
  out.push_back(route("canary", "/api/*"));
  out.back().headers = {{"x-canary", "yes"}};
  out.back().priority = 10;
  out.push_back(route("query", "/search"));
  out.back().query_params = {{"q", "*"}, {"lang", "de en"}};
  out.push_back(route("closed", "/closed/*"));
  out.back().methods = {"DELETE"};
  out.back().priority = 5;
  return out;
}

TEST(Router, ChoosesByHostPathMethodHeadersAndQuery) {
  const std::vector<config::Route> table = routes();
  const Router router(table);
  const std::vector<Case> cases = {
      {"anything", {.path = "/x"}, "any", ""},
      {"prefix", {.path = "/api/x/y/z"}, "api", ""},
      {"a prefix matches its own folder", {.path = "/api"}, "api", ""},
      {"but not a longer name", {.path = "/apix"}, "any", ""},
      {"exact before parameters", {.path = "/api/users"}, "exact", ""},
      {"parameters before prefix", {.path = "/api/users/7"}, "param", ""},
      {"an empty parameter does not match", {.path = "/api/users/"}, "api", ""},
      {"query does not count for the path", {.path = "/api/users?x=/y"}, "exact", ""},
      {"exact host, any case, with port",
       {.host = "API.example.COM:8080", .path = "/host/1"},
       "host",
       ""},
      {"wildcard host", {.host = "b.example.com", .path = "/host/1"}, "wild", ""},
      {"a wildcard needs a label", {.host = "example.com", .path = "/host/1"}, "any", ""},
      {"trailing dot", {.host = "api.example.com.", .path = "/host/1"}, "host", ""},
      {"method", {.method = "PUT", .path = "/only-post"}, "post", ""},
      {"HEAD where GET is", {.method = "HEAD", .path = "/only-get"}, "get", ""},
      {"priority and header",
       {.path = "/api/users", .headers = {{"X-Canary", "yes"}}},
       "canary",
       ""},
      {"header of another value",
       {.path = "/api/users", .headers = {{"x-canary", "no"}}},
       "exact",
       ""},
      {"query", {.path = "/search?lang=de+en&q="}, "query", ""},
      {"query, percent-encoded", {.path = "/search?q=1&lang=de%20en"}, "query", ""},
      {"query missing", {.path = "/search?q=1"}, "any", ""},
  };
  for (const Case& c : cases) {
    Arena arena;
    http::HeaderMap headers(arena);
    headers.add(":authority", c.request.host);
    headers.add(":path", c.request.path);
    headers.add(":method", c.request.method);
    for (const auto& [name, value] : c.request.headers) headers.add(name, value);
    const RouteMatch match = router.match(headers);
    EXPECT_EQ(match.route == RouteMatch::kNone ? "" : table[match.route].id, c.route) << c.name;
    EXPECT_EQ(match.allow, c.allow) << c.name;
  }
}

TEST(Router, TellsTheMethodsThatWouldMatch) {
  std::vector<config::Route> table;
  table.push_back(route("read", "/a"));
  table.back().methods = {"GET", "HEAD"};
  table.push_back(route("write", "/a"));
  table.back().methods = {"POST", "GET"};
  const Router router(table);
  Arena arena;
  http::HeaderMap headers(arena);
  headers.add(":authority", "x");
  headers.add(":path", "/a");
  headers.add(":method", "DELETE");
  const RouteMatch match = router.match(headers);
  EXPECT_EQ(match.route, RouteMatch::kNone);
  EXPECT_EQ(match.allow, "GET, HEAD, POST");
}

TEST(Router, GivesParameters) {
  std::vector<config::Route> table;
  table.push_back(route("p", "/u/:user/files/*"));
  const Router router(table);
  Arena arena;
  http::HeaderMap headers(arena);
  headers.add(":authority", "x");
  headers.add(":path", "/u/ada/files/a/b?c=d");
  headers.add(":method", "GET");
  const RouteMatch match = router.match(headers);
  ASSERT_EQ(match.route, 0U);
  ASSERT_EQ(match.parameters.size(), 1U);
  EXPECT_EQ(match.parameters[0].first, "user");
  EXPECT_EQ(match.parameters[0].second, "ada");
}

TEST(Router, FindsDotSegmentsHoweverTheyAreWritten) {
  for (const char* path : {"/a/../b", "/..", "/a/.", "/./a", "/a/%2e%2E/b", "/a/.%2e", "/%2e"}) {
    EXPECT_TRUE(has_dot_segments(path)) << path;
  }
  for (const char* path :
       {"/", "/a.b/c", "/...", "/.well-known/x", "/a/%2f", "/a%2e", "/%2", "/a/..b"}) {
    EXPECT_FALSE(has_dot_segments(path)) << path;
  }
}

}  // namespace
}  // namespace heddle::gateway
