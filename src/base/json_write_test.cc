#include "base/json_write.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <string_view>

#include "base/json_parse.h"

namespace heddle {
namespace {

std::string written(std::string_view text) {
  boost::system::error_code error;
  const boost::json::value value = parse_json(text, error);
  EXPECT_FALSE(error) << text;
  const std::string out = write_json(value);
  EXPECT_EQ(parse_json(out, error), value) << text << " became " << out;
  return out;
}

TEST(JsonWrite, FractionsAsAPersonWritesThem) {
  EXPECT_EQ(written("[0.1,17.8835,-0.5,3.56e-4]"), "[0.1,17.8835,-0.5,0.000356]");
  EXPECT_EQ(written("[1.0,-0.0,100000.0]"), "[1.0,-0.0,100000.0]");
  EXPECT_EQ(written("[1e30,1e-7,5e-324]"), "[1e+30,1e-07,5e-324]");
}

TEST(JsonWrite, TheRestIsWrittenAsItWasRead) {
  EXPECT_EQ(
      written(
          R"({"a\n\"":[{},[],{"b":0.5}],"c":"\u0001","d":null,"e":[true,-1,18446744073709551615]})"),
      R"({"a\n\"":[{},[],{"b":0.5}],"c":"\u0001","d":null,"e":[true,-1,18446744073709551615]})");
  EXPECT_EQ(written(R"({"a":[1,2]})"), R"({"a":[1,2]})");
  EXPECT_EQ(written(R"([-9223372036854775808,"\u00fc\ud83d\ude00",{"":[[]]}])"),
            "[-9223372036854775808,\"\u00fc\U0001F600\",{\"\":[[]]}]");
  EXPECT_EQ(write_json(boost::json::object{{"a", 0.25}}), R"({"a":0.25})");
}

TEST(JsonWrite, WhatIsNoNumberIsNull) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  EXPECT_EQ(write_json({kInfinity, -kInfinity, std::numeric_limits<double>::quiet_NaN(), 1.5}),
            "[null,null,null,1.5]");
}

}  // namespace
}  // namespace heddle
