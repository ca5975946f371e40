#include "base/json_parse.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "base/json_write.h"

namespace heddle {
namespace {

std::string written_again(std::string_view text) {
  boost::system::error_code error;
  const std::string out = write_json(parse_json(text, error));
  EXPECT_FALSE(error) << text;
  parse_json(out, error);
  EXPECT_FALSE(error) << text << " became " << out;
  return out;
}

TEST(JsonParse, NumbersBeyondADoubleBecomeTheNearest) {
  boost::system::error_code error;
  EXPECT_EQ(parse_json("1e400", error).as_double(), std::numeric_limits<double>::max());
  EXPECT_EQ(parse_json("-1e400", error).as_double(), std::numeric_limits<double>::lowest());
  EXPECT_EQ(parse_json("0E666660", error).as_double(), 0);
  EXPECT_EQ(parse_json("1e-400", error).as_double(), 0);
  EXPECT_FALSE(error);
}

TEST(JsonParse, WhatWasReadCanBeWritten) {
  EXPECT_EQ(written_again(R"({"a":[6666666666E666660,2]})"),
            R"({"a":[1.7976931348623157e+308,2]})");
  EXPECT_EQ(written_again(R"([[{"b":-1e400}],0e999])"),
            R"([[{"b":-1.7976931348623157e+308}],0.0])");
  EXPECT_EQ(written_again(R"([1,"1e400",null,true])"), R"([1,"1e400",null,true])");
}

TEST(JsonParse, FaultsAndLimitsAreBoosts) {
  boost::system::error_code error;
  EXPECT_TRUE(parse_json("{", error).is_null());
  EXPECT_TRUE(error);
  parse_json("[[[]]]", error, {}, {.max_depth = 2});
  EXPECT_TRUE(error);
  parse_json("[[]]", error, {}, {.max_depth = 2});
  EXPECT_FALSE(error);
}

}  // namespace
}  // namespace heddle
