// What a Wasm binary declares, read from its sections: imports, exports, memory, custom sections.
// Pure and bounds-checked; the bytes are untrusted. Does not validate code: the engine does. We do
// not ask the engine for types because its C API ends the process when a signature holds a type
// that it has no C value for (v128, typed references).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sandbox/module.h"

namespace heddle::sandbox {

struct ModuleSections {
  struct Custom {
    std::string_view name;  // both into the parsed bytes
    std::string_view bytes;
  };

  std::vector<Import> imports;
  std::vector<Export> exports;
  std::vector<Custom> custom;
  std::uint64_t initial_memory = 0;  // bytes of the first memory, imported or own
  std::optional<std::uint64_t> maximum_memory;
};

// Whether the bytes start as a Wasm binary does ("\0asm").
bool has_wasm_magic(std::string_view bytes);

// Errors (kInvalidArgument) say what is wrong and where: empty, not Wasm, truncated, a component,
// an unknown version, a malformed section.
Result<ModuleSections> parse_module_sections(std::string_view bytes);

}  // namespace heddle::sandbox
