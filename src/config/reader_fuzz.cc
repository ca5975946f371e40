// Any bytes as a configuration: never a crash, and what is accepted reads back from its own dump.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto result = heddle::config::read_text(text, "fuzz.yaml", "", {.lenient = true});
  for (const auto& problem : result.problems) {
    if (to_string(problem).empty()) std::abort();
  }
  if (!result.ok()) return 0;
  const std::string& dump = result.config->effective_yaml;
  // Redacted hashes do not read back.
  if (!result.config->admin.users.empty()) return 0;
  const auto again = heddle::config::read_text(dump, "dump.yaml", "", {});
  if (!again.ok() || again.config->effective_yaml != dump) std::abort();
  return 0;
}
