// What no single row of the table can say: defaults that depend on other settings, names that must
// be unique, references that must exist.
#pragma once

#include "config/config.h"
#include "config/decode.h"
#include "config/node.h"
#include "config/problems.h"

namespace heddle::config {

// Fills in what the file left out: names, route ids, the default listener, the echo upstream, the
// cache folder.
void complete(Config& config, const Node& root, const Places& places, Problems& problems);

// Reports everything that does not fit together. Call complete() first.
void check(const Config& config, const Places& places, Problems& problems);

}  // namespace heddle::config
