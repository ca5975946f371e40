// Options as JSON, for the C API: one table row an option.
#pragma once

#include <string_view>

#include "heddle/host.h"

namespace heddle::library {

// Null text: the defaults. The error names the key that is unknown or of a wrong type.
v1::Result<v1::HostOptions> read_host_options(const char* text);
v1::Result<v1::PluginOptions> read_plugin_options(const char* text);

}  // namespace heddle::library
