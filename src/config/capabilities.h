// The names that a plugin's `capabilities` may hold: what the Proxy-Wasm contract offers and calls
// (a test compares the two), and the server's methods for JSON-RPC plugins.
#pragma once

#include <optional>
#include <string>

#include "config/problems.h"

namespace heddle::config {

std::optional<Complaint> check_capability(std::string& value);

}  // namespace heddle::config
