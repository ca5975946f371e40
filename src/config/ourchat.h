// OurChat's own configuration (`--ourchat-config FILE`): its table [plugin] becomes
// messaging.hooks, in both dialects that are in use: the guide's max_memory_mb and
// max_execution_time_ms, and the server's max_memory = "64MiB" and max_execution_time = "100ms".
// Whatever else the file holds is OurChat's business. The only part of Heddle that knows toml++.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/node.h"
#include "config/problems.h"

namespace heddle::config {

// {messaging: {hooks: …}}, with its marks in `file`; nullopt after a problem was reported. A `name`
// that ends in .yaml or .yml is YAML, everything else TOML. A file without the table asks for
// OurChat's defaults: the folder `plugins` beside it.
std::optional<Node> parse_ourchat(std::string_view text, const std::string& name,
                                  std::uint32_t file, Problems& problems);

}  // namespace heddle::config
