// Files and folders into one tree.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/node.h"
#include "config/problems.h"

namespace heddle::config {

// The files of a configuration: `path` itself, or the *.yaml and *.yml of the folder `path` in the
// order of their names (hidden files left out). Empty after a problem was reported.
std::vector<std::string> find_files(const std::string& path, Problems& problems);

// The bytes of a file; nullopt after a problem was reported. Reads no more than a configuration may
// have.
std::optional<std::string> read_file(const std::string& path, std::uint32_t file,
                                     Problems& problems);

// Adds `from` to `into`: maps merge, lists are appended, and a value that both have must be the
// same.
void merge(Node& into, Node&& from, const std::string& path, Problems& problems);

}  // namespace heddle::config
