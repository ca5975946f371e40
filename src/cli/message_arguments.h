// The arguments of `heddle message`.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>

#include "cli/commands.h"

namespace heddle::cli {

void add_message(CLI::App& app, MessageOptions& options);
// Runs the verb that was given; nothing when none of them was.
std::optional<int> run_message(const CLI::App& app, const MessageOptions& options);

}  // namespace heddle::cli
