// Character classes of RFC 9110 and 9112 as tables, for the parser and the header map.
#pragma once

#include <array>
#include <string_view>

namespace heddle::http {

// The token character in lower case, 0 for every other byte.
inline constexpr std::array<char, 256> kTokenTable = [] {
  std::array<char, 256> table{};
  for (char c = 'a'; c <= 'z'; ++c) {
    table[static_cast<unsigned char>(c)] = c;
    table[static_cast<unsigned char>(c - 'a' + 'A')] = c;
  }
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = c;
  for (const char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = c;
  return table;
}();

// Characters of a registered name or IPv4 address (RFC 3986 section 3.2.2). No ',': a list of hosts
// is no host; no '%': two spellings of one host would reach different routes.
inline constexpr std::array<bool, 256> kHostTable = [] {
  std::array<bool, 256> table{};
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (char c = '0'; c <= '9'; ++c) table[static_cast<unsigned char>(c)] = true;
  for (const char c : std::string_view("-._~!$&'()*+;="))
    table[static_cast<unsigned char>(c)] = true;
  return table;
}();

// The value of a hexadecimal digit, -1 for every other byte.
inline constexpr std::array<signed char, 256> kHexTable = [] {
  std::array<signed char, 256> table{};
  table.fill(-1);
  for (std::size_t i = 0; i < 10; ++i) table['0' + i] = static_cast<signed char>(i);
  for (std::size_t i = 0; i < 6; ++i) {
    table['a' + i] = static_cast<signed char>(10 + i);
    table['A' + i] = static_cast<signed char>(10 + i);
  }
  return table;
}();

}  // namespace heddle::http
