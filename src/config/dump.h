// The effective configuration as YAML, which reads back as the same configuration (but for what is
// redacted).
#pragma once

#include <optional>
#include <string>

#include "config/config.h"
#include "config/settings.h"

namespace heddle::config {

// Every setting with its value in the order of the table; secrets are "***".
std::string effective_yaml(const Config& config);

// The value of one setting as YAML on one line; nullopt when it has none (an optional that is
// unset). `object` is the object that the row's table describes.
std::optional<std::string> format_value(const Setting& row, void* object);

}  // namespace heddle::config
