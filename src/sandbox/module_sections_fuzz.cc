#include <cstddef>
#include <cstdint>

#include "sandbox/module_sections.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto result = heddle::sandbox::parse_module_sections(
      std::string_view(reinterpret_cast<const char*>(data), size));
  if (result) {
    // Every view lies inside the input.
    for (const auto& custom : result->custom) {
      const auto* begin = reinterpret_cast<const std::uint8_t*>(custom.bytes.data());
      if (begin < data || begin + custom.bytes.size() > data + size) __builtin_trap();
    }
  }
  return 0;
}
