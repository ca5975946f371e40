// Arguments before CLI11 sees them: Loom's command line is rewritten to Heddle's.
#pragma once

#include <string>
#include <vector>

namespace heddle::cli {

// `loom -config F -log-level info` (Loom has single-dash long options and no verbs) becomes
// `heddle serve --config F --log-level info`; also when Heddle is called by its own name in that
// style. Anything else stays.
std::vector<std::string> rewrite_loom_arguments(std::vector<std::string> arguments);

}  // namespace heddle::cli
