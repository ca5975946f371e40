#include "contracts/proxy_wasm/pairs.h"

#include <cstdint>
#include <cstring>

namespace heddle::proxy_wasm {
namespace {

constexpr std::size_t kWord = sizeof(std::uint32_t);

void put_word(char*& out, std::size_t value) {
  const auto word = static_cast<std::uint32_t>(value);
  std::memcpy(out, &word, kWord);
  out += kWord;
}

void put_text(char*& out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  out += text.size();
  *out++ = '\0';
}

std::uint32_t word_at(std::string_view bytes, std::size_t at) {
  std::uint32_t word = 0;
  std::memcpy(&word, bytes.data() + at, kWord);
  return word;
}

// Cuts text of this length and its NUL from the front of `rest`.
std::optional<std::string_view> take_text(std::string_view& rest, std::uint32_t length) {
  if (rest.size() <= length || rest[length] != '\0') return std::nullopt;
  const std::string_view text = rest.substr(0, length);
  rest.remove_prefix(std::size_t{length} + 1);
  return text;
}

}  // namespace

std::size_t pairs_size(const http::HeaderMap& map) {
  return kWord + map.size() * (2 * kWord + 2) + map.byte_size();
}

void write_pairs(const http::HeaderMap& map, char* out) {
  put_word(out, map.size());
  for (const auto& [name, value] : map) {
    put_word(out, name.size());
    put_word(out, value.size());
  }
  for (const auto& [name, value] : map) {
    put_text(out, name);
    put_text(out, value);
  }
}

std::optional<std::vector<Pair>> parse_pairs(std::string_view bytes) {
  std::vector<Pair> out;
  if (bytes.empty()) return out;
  if (bytes.size() < kWord || bytes.size() > kMaxPairsBytes) return std::nullopt;
  const std::uint32_t count = word_at(bytes, 0);
  if (count > kMaxPairs) return std::nullopt;
  const std::size_t texts = kWord + count * 2 * kWord;
  if (bytes.size() < texts) return std::nullopt;
  std::string_view rest = bytes.substr(texts);
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t lengths = kWord + i * 2 * kWord;
    const auto name = take_text(rest, word_at(bytes, lengths));
    if (!name) return std::nullopt;
    const auto value = take_text(rest, word_at(bytes, lengths + kWord));
    if (!value) return std::nullopt;
    out.emplace_back(*name, *value);
  }
  if (!rest.empty()) return std::nullopt;
  return out;
}

}  // namespace heddle::proxy_wasm
