#include "admin/guard.h"

#include <gtest/gtest.h>

namespace heddle::admin {
namespace {

Request get(const std::string& host) {
  Request out;
  out.method = "GET";
  out.host = host;
  return out;
}

Request post(const std::string& origin, const std::string& fetch_site = {},
             const std::string& host = "localhost:9091") {
  Request out = get(host);
  out.method = "POST";
  out.origin = origin;
  out.fetch_site = fetch_site;
  return out;
}

TEST(Guard, LoopbackNamesPass) {
  const Guard guard("127.0.0.1:9091", {});
  for (const char* host : {"localhost", "LOCALHOST:9091", "localhost.:9091", "127.0.0.1:9091",
                           "127.8.9.1", "[::1]:9091", "[::1]"}) {
    EXPECT_FALSE(guard.check(get(host))) << host;
  }
}

TEST(Guard, OtherNamesAreRefused) {
  const Guard guard("127.0.0.1:9091", {});
  for (const char* host : {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example:9091",
                           "", "192.168.1.2:9091", "[::2]", "[", ":9091", "evil@localhost"}) {
    const auto refusal = guard.check(get(host));
    ASSERT_TRUE(refusal) << host;
    EXPECT_EQ(refusal->status, 403);
  }
}

TEST(Guard, BoundAddressAndAllowedHostsPass) {
  const Guard guard("10.1.2.3:9091", {"Admin.example", "gate.example:8443"});
  for (const char* host :
       {"10.1.2.3:9091", "admin.example", "admin.example:80", "gate.example:8443"}) {
    EXPECT_FALSE(guard.check(get(host))) << host;
  }
  for (const char* host : {"10.1.2.4", "gate.example:9091", "gate.example"}) {
    EXPECT_TRUE(guard.check(get(host))) << host;
  }
}

TEST(Guard, OnAllAddressesAnyIpPassesButNoName) {
  for (const char* address : {":9091", "0.0.0.0:9091", "[::]:9091"}) {
    const Guard guard(address, {});
    EXPECT_FALSE(guard.check(get("10.1.2.3:9091"))) << address;
    EXPECT_FALSE(guard.check(get("[2001:db8::1]:9091"))) << address;
    EXPECT_TRUE(guard.check(get("evil.example"))) << address;
  }
}

TEST(Guard, CrossSitePostsAreRefused) {
  const Guard guard("127.0.0.1:9091", {"dash.example"});
  for (const char* origin :
       {"http://evil.example", "null", "http://localhost:3000", "http://localhost",
        "http://localhost:9091.evil.example", "file://", "localhost:9091"}) {
    const auto refusal = guard.check(post(origin));
    ASSERT_TRUE(refusal) << origin;
    EXPECT_EQ(refusal->status, 403);
  }
  for (const char* origin :
       {"", "http://localhost:9091", "https://LOCALHOST:9091", "https://dash.example"}) {
    EXPECT_FALSE(guard.check(post(origin))) << origin;
  }
}

TEST(Guard, ImpliedPortsAreTheSame) {
  const Guard guard("127.0.0.1:80", {});
  EXPECT_FALSE(guard.check(post("http://localhost", {}, "localhost:80")));
  EXPECT_FALSE(guard.check(post("http://localhost:80", {}, "localhost")));
}

TEST(Guard, FetchMetadataCountsWithoutOrigin) {
  const Guard guard("127.0.0.1:9091", {});
  EXPECT_TRUE(guard.check(post("", "cross-site")));
  EXPECT_TRUE(guard.check(post("", "same-site")));
  EXPECT_FALSE(guard.check(post("", "same-origin")));
  EXPECT_FALSE(guard.check(post("", "none")));
}

TEST(Guard, ReadingFromAnotherOriginIsTheBrowsersBusiness) {
  const Guard guard("127.0.0.1:9091", {});
  Request request = get("localhost");
  request.origin = "http://evil.example";
  EXPECT_FALSE(guard.check(request));
}

}  // namespace
}  // namespace heddle::admin
