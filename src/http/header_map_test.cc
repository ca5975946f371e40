#include "http/header_map.h"

#include <gtest/gtest.h>

#include <string>

#include "http/message.h"

namespace heddle::http {
namespace {

TEST(HeaderMap, NamesAreFoundInAnyCaseAndKeptInOrder) {
  Arena arena;
  HeaderMap headers(arena);
  headers.add("X-One", "1");
  headers.add("x-two", "2");
  headers.add("X-ONE", "3");
  EXPECT_EQ(headers.get("x-OnE"), "1");
  EXPECT_EQ(headers.get_joined("x-one"), "1,3");
  EXPECT_EQ(headers.begin()->name, "x-one");
  EXPECT_FALSE(headers.get("x-three"));
  EXPECT_EQ(headers.byte_size(), 18U);
}

TEST(HeaderMap, SetReplacesTheFirstAndDropsTheOthers) {
  Arena arena;
  HeaderMap headers(arena);
  headers.add("a", "1");
  headers.add("b", "2");
  headers.add("A", "3");
  const auto before = headers.version();
  headers.set("A", "4");
  EXPECT_NE(headers.version(), before);
  EXPECT_EQ(headers.size(), 2U);
  EXPECT_EQ(headers.begin()->value, "4");
  headers.set("c", "5");
  EXPECT_EQ(headers.get("c"), "5");
  EXPECT_TRUE(headers.remove("B"));
  EXPECT_FALSE(headers.remove("B"));
}

// Look-ups leave most names out by their length and last character.
TEST(HeaderMap, EveryNameThatWasAddedIsFoundInAnyCase) {
  for (std::size_t length = 1; length <= 70; ++length) {
    for (int last = '!'; last <= '~'; ++last) {
      std::string name(length, 'q');
      name.back() = static_cast<char>(last);
      std::string upper = name;
      for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 0x20) : c;
      Arena arena;
      HeaderMap headers(arena);
      headers.add(name, "1");
      ASSERT_EQ(headers.get(name), "1") << name;
      ASSERT_EQ(headers.get_joined(upper), "1") << upper;
      ASSERT_TRUE(headers.has_token(upper, "1")) << upper;
      headers.set(upper, "2");
      ASSERT_EQ(headers.size(), 1U) << upper;
      ASSERT_TRUE(headers.remove(upper)) << upper;
      ASSERT_FALSE(headers.contains(name)) << name;
      headers.clear();
      headers.add_view("q", "3");
      ASSERT_EQ(headers.get("Q"), "3");
    }
  }
}

TEST(HeaderMap, Tokens) {
  Arena arena;
  HeaderMap headers(arena);
  headers.add("connection", "Keep-Alive, \tUpgrade ");
  headers.add("connection", "x");
  EXPECT_TRUE(headers.has_token("Connection", "upgrade"));
  EXPECT_TRUE(headers.has_token("connection", "X"));
  EXPECT_FALSE(headers.has_token("connection", "keep"));
}

TEST(HeaderMap, AnyConnectionHeaderNominates) {
  Arena arena;
  HeaderMap headers(arena);
  EXPECT_FALSE(nominates_headers(headers));
  headers.add("connection", "Upgrade");
  headers.add("connection", "keep-alive");
  headers.add("connection", "CLOSE");
  EXPECT_FALSE(nominates_headers(headers));
  headers.add("connection", "x-hop");
  EXPECT_TRUE(nominates_headers(headers));
}

TEST(HeaderMap, CharacterClasses) {
  EXPECT_TRUE(is_token("x-a_b!"));
  EXPECT_FALSE(is_token(""));
  EXPECT_FALSE(is_token(":path"));
  EXPECT_FALSE(is_token("a b"));
  EXPECT_TRUE(is_field_value("a\tb \xFF"));
  EXPECT_FALSE(is_field_value("a\r\nb"));
  EXPECT_FALSE(is_field_value(std::string_view("a\0b", 3)));
}

TEST(Message, RecycledHeadsAreEmpty) {
  HeadPtr head = make_head();
  head->headers.add(":status", "404");
  head->upgrade = true;
  EXPECT_EQ(head->status(), 404);
  Head* const address = head.get();
  head.reset();
  head = make_head();
  EXPECT_EQ(head.get(), address);
  EXPECT_TRUE(head->headers.empty());
  EXPECT_FALSE(head->upgrade);
  EXPECT_EQ(head->status(), 0);
}

TEST(Message, ReasonPhrases) {
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
  EXPECT_EQ(reason_phrase(299), "");
}

}  // namespace
}  // namespace heddle::http
