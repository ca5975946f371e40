#include "base/protobuf.h"

namespace heddle::protobuf {
namespace {

constexpr unsigned kTypeBits = 3;
constexpr std::uint64_t kMaxFieldNumber = (std::uint64_t{1} << 29U) - 1;
constexpr unsigned kMaxVarintBytes = 10;

void append_varint(std::string& out, std::uint64_t value) {
  while (value >= 0x80U) {
    out.push_back(static_cast<char>((value & 0x7fU) | 0x80U));
    value >>= 7U;
  }
  out.push_back(static_cast<char>(value));
}

void append_tag(std::string& out, std::uint32_t number, WireType type) {
  append_varint(out, (std::uint64_t{number} << kTypeBits) | static_cast<std::uint64_t>(type));
}

}  // namespace

std::optional<std::uint64_t> Reader::varint() {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < kMaxVarintBytes && i < rest_.size(); ++i) {
    const auto byte = static_cast<unsigned char>(rest_[i]);
    value |= static_cast<std::uint64_t>(byte & 0x7fU) << (7U * i);
    if (byte < 0x80U) {
      rest_.remove_prefix(i + 1);
      return value;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> Reader::fixed(std::size_t size) {
  if (rest_.size() < size) return std::nullopt;
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= static_cast<std::uint64_t>(static_cast<unsigned char>(rest_[i])) << (8U * i);
  }
  rest_.remove_prefix(size);
  return value;
}

std::optional<Field> Reader::next() {
  if (rest_.empty()) return std::nullopt;
  const auto tag = varint();
  if (!tag || (*tag >> kTypeBits) == 0 || (*tag >> kTypeBits) > kMaxFieldNumber) return fail();
  Field field;
  field.number = static_cast<std::uint32_t>(*tag >> kTypeBits);
  field.type = static_cast<WireType>(*tag & 7U);
  std::optional<std::uint64_t> value;
  switch (field.type) {
    case WireType::kVarint:
    case WireType::kBytes:
      value = varint();
      break;
    case WireType::kFixed64:
      value = fixed(sizeof(std::uint64_t));
      break;
    case WireType::kFixed32:
      value = fixed(sizeof(std::uint32_t));
      break;
  }
  if (!value) return fail();
  if (field.type != WireType::kBytes) {
    field.number_value = *value;
    return field;
  }
  if (*value > rest_.size()) return fail();
  field.bytes = rest_.substr(0, *value);
  rest_.remove_prefix(*value);
  return field;
}

void write_varint(std::string& out, std::uint32_t number, std::uint64_t value) {
  if (value == 0) return;
  append_tag(out, number, WireType::kVarint);
  append_varint(out, value);
}

void write_bytes(std::string& out, std::uint32_t number, std::string_view value) {
  if (value.empty()) return;
  append_tag(out, number, WireType::kBytes);
  append_varint(out, value.size());
  out.append(value);
}

}  // namespace heddle::protobuf
