#include "gateway/native_cors.h"

#include <gtest/gtest.h>

#include <string>

namespace heddle::gateway {
namespace {

config::Cors allowing(std::vector<std::string> origins) {
  config::Cors out;
  out.enabled = true;
  out.allow_origins = std::move(origins);
  return out;
}

TEST(CorsPolicy, ExactOriginsOnly) {
  const CorsPolicy policy(allowing({"https://a.example"}));
  EXPECT_EQ(policy.allow_origin("https://a.example"), "https://a.example");
  EXPECT_EQ(policy.allow_origin("https://A.example"), "https://A.example");
  for (const std::string origin :
       {"http://a.example", "https://a.example:8443", "https://a.example.evil",
        "https://xa.example", "https://a.example/", "null", "", "*",
        "https://a.example,https://b.example"}) {
    EXPECT_EQ(policy.allow_origin(origin), "") << origin;
  }
  EXPECT_TRUE(policy.varies());
}

TEST(CorsPolicy, StarsStandForNames) {
  const CorsPolicy policy(allowing({"https://*.example.com", "http://localhost:*"}));
  EXPECT_NE(policy.allow_origin("https://a.example.com"), "");
  EXPECT_NE(policy.allow_origin("https://a.b.example.com"), "");
  EXPECT_NE(policy.allow_origin("http://localhost:3000"), "");
  for (const std::string origin :
       {"https://example.com", "https://.example.com.evil", "https://evil.com/.example.com",
        "https://evil.com?.example.com", "https://evil.com:1@a.example.com",
        "http://localhost:", "http://localhost:3000/x", "https://a.example.comx"}) {
    EXPECT_EQ(policy.allow_origin(origin), "") << origin;
  }
}

TEST(CorsPolicy, EverybodyGetsNoCredentials) {
  config::Cors settings = allowing({"*", "https://a.example"});
  settings.allow_credentials = true;
  const CorsPolicy policy(settings);
  EXPECT_EQ(policy.allow_origin("https://b.example"), "*");
  EXPECT_FALSE(policy.allow_credentials("https://b.example"));
  EXPECT_EQ(policy.allow_origin("https://a.example"), "https://a.example");
  EXPECT_TRUE(policy.allow_credentials("https://a.example"));
  EXPECT_TRUE(policy.varies());
  EXPECT_FALSE(CorsPolicy(allowing({"*"})).varies());
}

TEST(CorsPolicy, HeadersAreListedOrAny) {
  config::Cors settings = allowing({"*"});
  settings.allow_headers = {"X-One", "content-type"};
  const CorsPolicy listed(settings);
  EXPECT_EQ(listed.allow_headers("x-one, Content-Type"), "x-one, Content-Type");
  EXPECT_EQ(listed.allow_headers("x-one,x-two"), "");
  settings.allow_headers = {"*"};
  const CorsPolicy any(settings);
  EXPECT_EQ(any.allow_headers("x-one,x-two"), "x-one,x-two");
  EXPECT_EQ(any.allow_headers("x one"), "");
  EXPECT_EQ(any.allow_headers(std::string(5000, 'x')), "");
}

TEST(CorsPolicy, ManyStarsAreNoWork) {
  const CorsPolicy policy(allowing({"https://*.*.example"}));
  EXPECT_EQ(policy.allow_origin("https://" + std::string(8000, 'a') + ".b"), "");
}

}  // namespace
}  // namespace heddle::gateway
