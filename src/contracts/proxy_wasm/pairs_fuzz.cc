// What parse_pairs() accepts, write_pairs() writes back, byte for byte.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "contracts/proxy_wasm/pairs.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace heddle;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto pairs = proxy_wasm::parse_pairs(bytes);
  if (!pairs || bytes.empty()) return 0;
  Arena arena;
  http::HeaderMap map(arena);
  for (const auto& [name, value] : *pairs) map.add_view(name, value);
  std::string out(proxy_wasm::pairs_size(map), '\0');
  proxy_wasm::write_pairs(map, out.data());
  if (out != bytes) std::abort();
  return 0;
}
