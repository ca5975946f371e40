#include "contracts/route/json_members.h"

#include <gtest/gtest.h>

namespace heddle::route {
namespace {

std::string shown(std::string_view object) {
  std::string out;
  for (const auto& [key, value] : json_members(object)) {
    out += key;
    out += '=';
    out += value;
    out += ';';
  }
  return out;
}

TEST(JsonMembers, ComeAsTheyAreWritten) {
  EXPECT_EQ(shown("{}"), "");
  EXPECT_EQ(shown("  { }  "), "");
  EXPECT_EQ(shown(R"({"a":1.50,"b":"x,}","c":[1,{"d":"]"}],"e":{"f":{}}})"),
            R"(a=1.50;b="x,}";c=[1,{"d":"]"}];e={"f":{}};)");
  EXPECT_EQ(shown("{ \"a\" : true ,\n\"b\":null , \"c\" : -1E+5 }"), "a=true;b=null;c=-1E+5;");
  EXPECT_EQ(shown(R"({"quo\"te":"a\\","\u0075ser":1,"a":1,"a":2})"),
            R"(quo"te="a\\";user=1;a=1;a=2;)");
}

TEST(JsonMembers, WhatIsNoObjectHasNone) {
  for (const char* text :
       {"", "[", "{", "{\"", "{\"a", "{\"a\"", "{\"a\":", "{\"a\\", "7", "\"\\"}) {
    EXPECT_EQ(shown(text), "") << text;
  }
}

TEST(CompactJson, HasNoSpaceBetweenItsTokens) {
  EXPECT_EQ(compact_json(" { \"a b\" : [ 1.50 ,\n \"x \\\" y\" ] ,\t\"c\" : null } "),
            R"({"a b":[1.50,"x \" y"],"c":null})");
  EXPECT_EQ(compact_json(""), "");
}

}  // namespace
}  // namespace heddle::route
