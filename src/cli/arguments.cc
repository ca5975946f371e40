#include "cli/arguments.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace heddle::cli {

std::vector<std::string> rewrite_loom_arguments(std::vector<std::string> arguments) {
  static constexpr std::array<std::string_view, 2> kOptions = {"config", "log-level"};
  if (arguments.empty()) return arguments;
  const std::string_view program =
      std::string_view(arguments.front()).substr(arguments.front().rfind('/') + 1);
  bool loom = program == "loom";
  for (std::size_t i = 1; i < arguments.size(); ++i) {
    std::string& argument = arguments[i];
    for (const std::string_view option : kOptions) {
      const std::string single = "-" + std::string(option);
      if (argument == single || argument.starts_with(single + "=")) {
        argument.insert(0, "-");
        loom = loom || i == 1;
      }
    }
  }
  const bool has_verb = arguments.size() > 1 && !arguments[1].starts_with('-');
  if (loom && !has_verb) arguments.insert(arguments.begin() + 1, "serve");
  return arguments;
}

}  // namespace heddle::cli
