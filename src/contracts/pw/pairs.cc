#include "contracts/pw/pairs.h"

#include <cstring>

namespace heddle::proxy_wasm {
namespace {

void put_u32(char*& out, std::size_t value) {
  const auto narrow = static_cast<std::uint32_t>(value);
  std::memcpy(out, &narrow, sizeof narrow);
  out += sizeof narrow;
}

void put_text(char*& out, std::string_view text) {
  if (!text.empty()) std::memcpy(out, text.data(), text.size());
  out += text.size();
  *out++ = '\0';
}

std::uint32_t get_u32(const char* in) {
  std::uint32_t value = 0;
  std::memcpy(&value, in, sizeof value);
  return value;
}

}  // namespace

std::size_t serialised_size(const http::HeaderMap& headers) {
  return 4 + headers.size() * 10 + headers.byte_size();
}

void serialise(const http::HeaderMap& headers, char* out) {
  put_u32(out, headers.size());
  for (const auto& [name, value] : headers) {
    put_u32(out, name.size());
    put_u32(out, value.size());
  }
  for (const auto& [name, value] : headers) {
    put_text(out, name);
    put_text(out, value);
  }
}

std::string serialise(const Pairs& pairs) {
  std::size_t size = 4;
  for (const auto& [name, value] : pairs) size += 10 + name.size() + value.size();
  std::string bytes(size, '\0');
  char* out = bytes.data();
  put_u32(out, pairs.size());
  for (const auto& [name, value] : pairs) {
    put_u32(out, name.size());
    put_u32(out, value.size());
  }
  for (const auto& [name, value] : pairs) {
    put_text(out, name);
    put_text(out, value);
  }
  return bytes;
}

std::optional<Pairs> parse_pairs(std::string_view bytes) {
  if (bytes.empty()) return Pairs{};
  if (bytes.size() < 4 || bytes.size() > kMaxPairsBytes) return std::nullopt;
  const std::size_t count = get_u32(bytes.data());
  if (count > kMaxPairs || bytes.size() < 4 + count * 8) return std::nullopt;
  Pairs out;
  out.reserve(count);
  std::size_t at = 4 + count * 8;
  const auto take = [&](std::size_t size) -> std::optional<std::string_view> {
    if (size >= bytes.size() - at || bytes[at + size] != '\0') return std::nullopt;
    const std::string_view text = bytes.substr(at, size);
    at += size + 1;
    return text;
  };
  for (std::size_t i = 0; i < count; ++i) {
    if (at >= bytes.size()) return std::nullopt;
    const auto name = take(get_u32(bytes.data() + 4 + i * 8));
    if (!name || at >= bytes.size()) return std::nullopt;
    const auto value = take(get_u32(bytes.data() + 8 + i * 8));
    if (!value) return std::nullopt;
    out.emplace_back(*name, *value);
  }
  if (at != bytes.size()) return std::nullopt;
  return out;
}

}  // namespace heddle::proxy_wasm
