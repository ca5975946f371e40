#include "contracts/proxy_wasm/pairs.h"

#include <gtest/gtest.h>

#include <string>

namespace heddle::proxy_wasm {
namespace {

using namespace std::string_literals;

std::string word(std::uint32_t value) {
  std::string out(4, '\0');
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<char>(value >> (8 * i));
  return out;
}

std::string serialised(const http::HeaderMap& map) {
  std::string out(pairs_size(map), 'x');
  write_pairs(map, out.data());
  return out;
}

TEST(Pairs, RoundTrip) {
  Arena arena;
  http::HeaderMap map(arena);
  map.add(":path", "/");
  map.add("x-empty", "");
  map.add("x-twice", "1");
  map.add("x-twice", "2");
  const std::string bytes = serialised(map);
  EXPECT_EQ(bytes.substr(0, 12), word(4) + word(5) + word(1));
  const auto pairs = parse_pairs(bytes);
  ASSERT_TRUE(pairs.has_value());
  const std::vector<Pair> expected = {
      {":path", "/"}, {"x-empty", ""}, {"x-twice", "1"}, {"x-twice", "2"}};
  EXPECT_EQ(*pairs, expected);
}

TEST(Pairs, EmptyMapIsFourZeroBytes) {
  Arena arena;
  const http::HeaderMap map(arena);
  EXPECT_EQ(serialised(map), std::string(4, '\0'));
}

TEST(Pairs, EmptyInputs) {
  EXPECT_EQ(parse_pairs("")->size(), 0U);
  EXPECT_EQ(parse_pairs(word(0))->size(), 0U);
}

TEST(Pairs, HostileInputsAreRefused) {
  const std::string one = word(1) + word(1) + word(1) + "a\0b\0"s;
  ASSERT_TRUE(parse_pairs(one).has_value());
  const std::string cases[] = {"\1"s,
                               word(1),
                               word(1) + word(1),
                               one.substr(0, one.size() - 1),
                               one + "\0"s,
                               word(1) + word(1) + word(1) + "aXb\0"s,
                               word(1) + word(1) + word(1) + "a\0bX"s,
                               word(1) + word(0xffffffff) + word(1) + "a\0b\0"s,
                               word(1) + word(1) + word(0xffffffff) + "a\0b\0"s,
                               word(0xffffffff),
                               word(0x20000000) + std::string(64, '\0'),
                               word(1025) + std::string(1025 * 10, '\0'),
                               std::string((1U << 20U) + 1, '\0'),
                               word(0) + "x"};
  for (const std::string& bytes : cases)
    EXPECT_FALSE(parse_pairs(bytes).has_value()) << bytes.size();
}

TEST(Pairs, LimitsAreReachable) {
  EXPECT_EQ(parse_pairs(word(1024) + std::string(1024 * 10, '\0'))->size(), 1024U);
  const std::size_t value = kMaxPairsBytes - 12 - 3;
  EXPECT_TRUE(parse_pairs(word(1) + word(1) + word(static_cast<std::uint32_t>(value)) + "a\0"s +
                          std::string(value, 'v') + "\0"s)
                  .has_value());
}

}  // namespace
}  // namespace heddle::proxy_wasm
