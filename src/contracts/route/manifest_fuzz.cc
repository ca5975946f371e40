// Whatever the bytes: reading ends, an error names a JSON path, and what was taken is taken again
// from its own text as the same.
#include <cstdint>
#include <cstdlib>

#include "base/json_check.h"
#include "contracts/route/json_members.h"
#include "contracts/route/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace heddle;
  const auto manifest = route::parse_manifest({reinterpret_cast<const char*>(data), size});
  if (!manifest) {
    if (!manifest.error().message.starts_with('$')) std::abort();
    return 0;
  }
  const auto again = route::parse_manifest(manifest->text);
  if (!again || again->config != manifest->config ||
      again->routes.size() != manifest->routes.size()) {
    std::abort();
  }
  if (check_json(manifest->config, route::kMaxJsonDepth)) std::abort();
  for (std::size_t i = 0; i < again->routes.size(); ++i) {
    if (again->routes[i].pattern != manifest->routes[i].pattern) std::abort();
  }
  return 0;
}
