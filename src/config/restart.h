// What of a configuration a running server cannot take over.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace heddle::config {

// The paths of the settings that need a restart, by the table of settings, and differ.
std::vector<std::string> restart_changes(const Config& before, const Config& now);

}  // namespace heddle::config
