#include "http/grpc.h"

#include <gtest/gtest.h>

#include "http/message.h"

namespace heddle::http {
namespace {

TEST(Grpc, ARequestIsACallByItsType) {
  const auto call = [](std::string_view type) {
    const HeadPtr head = make_head();
    if (!type.empty()) head->headers.add("content-type", type);
    return is_grpc(head->headers);
  };
  EXPECT_TRUE(call("application/grpc"));
  EXPECT_TRUE(call("application/grpc+proto"));
  EXPECT_TRUE(call("application/grpc; charset=utf-8"));
  EXPECT_FALSE(call("application/grpc-web"));
  EXPECT_FALSE(call("application/json"));
  EXPECT_FALSE(call(""));
}

TEST(Grpc, StatusOfHttp) {
  EXPECT_EQ(grpc_status_of_http(401), 16);
  EXPECT_EQ(grpc_status_of_http(403), 7);
  EXPECT_EQ(grpc_status_of_http(504), 14);
  EXPECT_EQ(grpc_status_of_http(418), 2);
}

TEST(Grpc, MessageIsPercentEncoded) {
  EXPECT_EQ(grpc_message("all is well"), "all is well");
  EXPECT_EQ(grpc_message("100%\n\xc3\xa4"), "100%25%0A%C3%A4");
}

}  // namespace
}  // namespace heddle::http
