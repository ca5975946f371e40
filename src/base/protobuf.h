// The wire format of Protocol Buffers (protobuf.dev, "Encoding"), for the few messages that Heddle
// takes from plugins and gives them. Reads and writes single fields; knows no schema.
//
//   protobuf::Reader reader(bytes);
//   while (const auto field = reader.next()) { if (field->number == 1) name = field->bytes; }
//   if (!reader.ok()) …  // the bytes are no message
//
// Any bytes may be given: nothing is read beyond them, and every call of next() makes progress.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace heddle::protobuf {

enum class WireType : std::uint8_t { kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5 };

struct Field {
  std::uint32_t number = 0;
  WireType type = WireType::kVarint;
  std::uint64_t number_value = 0;  // of the numeric types
  std::string_view bytes;          // of kBytes: a string, bytes or a message; views the input

  // A number, or nothing of this field when it has another type (parsers skip such a field).
  std::uint64_t varint_or(std::uint64_t other) const {
    return type == WireType::kVarint ? number_value : other;
  }
};

class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  // The next field. Nothing at the end, or where the bytes stop being a message. Groups, which
  // proto3 does not have, are no message.
  std::optional<Field> next();
  bool ok() const { return ok_; }

 private:
  std::optional<std::uint64_t> varint();
  std::optional<std::uint64_t> fixed(std::size_t size);
  std::optional<Field> fail() {
    ok_ = false;
    rest_ = {};
    return std::nullopt;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// Appends one field. Zero and the empty string are proto3's defaults and are left out.
void write_varint(std::string& out, std::uint32_t number, std::uint64_t value);
void write_bytes(std::string& out, std::uint32_t number, std::string_view value);

}  // namespace heddle::protobuf
