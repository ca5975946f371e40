// Whatever the bytes: the reader ends, views only the input, and what it read and the writer writes
// is read again as the same.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "base/protobuf.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace heddle;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  protobuf::Reader reader(bytes);
  while (const auto field = reader.next()) {
    std::string out;
    if (field->type == protobuf::WireType::kBytes) {
      if (field->bytes.data() < bytes.data() ||
          field->bytes.data() + field->bytes.size() > bytes.data() + bytes.size()) {
        std::abort();
      }
      protobuf::write_bytes(out, field->number, field->bytes);
    } else {
      protobuf::write_varint(out, field->number, field->number_value);
    }
    if (out.empty()) continue;
    protobuf::Reader again(out);
    const auto same = again.next();
    if (!same || same->number != field->number || same->bytes != field->bytes ||
        same->number_value != field->number_value || again.next() || !again.ok()) {
      std::abort();
    }
  }
  return 0;
}
