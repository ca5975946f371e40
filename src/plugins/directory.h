// The plugins that lie in a plugin directory: every *.wasm, and every *.so if it is `native`, in
// name order, named after its file.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "config/config.h"

namespace heddle::plugins {

// Entries with the defaults of config::Plugin and no routes of their own. Not recursive; hidden
// files and those whose names cannot name a plugin are left out. A directory that cannot be read is
// empty. With `log`, both are told.
std::vector<config::Plugin> scan_directory(const std::string& directory, bool native, Log* log);

}  // namespace heddle::plugins
