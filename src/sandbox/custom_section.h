// Puts a custom section into a Wasm binary. Pure.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace heddle::sandbox {

// The binary with `content` as its only custom section `name`, right behind the header; everything
// else stays as it is. Fails where parse_module_sections does.
Result<std::string> set_custom_section(std::string_view module, std::string_view name,
                                       std::string_view content);

}  // namespace heddle::sandbox
