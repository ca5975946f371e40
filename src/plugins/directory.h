// The plugins that lie in a plugin directory: every package (package.h), and every *.so if it is
// `native`, in name order, named after its file or folder.
#pragma once

#include <string>
#include <vector>

#include "base/log.h"
#include "config/config.h"

namespace heddle::plugins {

struct DirectoryScan {
  std::vector<config::Plugin> plugins;
  // What cannot be read, the directory itself or a folder in it: its plugins may be there or not.
  struct Unreadable {
    std::string path;
    std::string error;
  };
  std::vector<Unreadable> unreadable;
};

// Entries with the defaults of config::Plugin and no routes of their own. Not recursive; hidden
// files and those whose names cannot name a plugin are left out. A directory that does not exist is
// empty. With `log`, both are told. One that says what kind its plugins are has only *.wasm of that
// kind, with its limits.
DirectoryScan scan_directory(const config::PluginDirectory& directory, Log* log);

// The folders in it, which may be or become packages; hidden ones are left out.
std::vector<std::string> folders_in(const std::string& directory);

}  // namespace heddle::plugins
