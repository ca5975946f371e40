// What the verbs write: results to standard output, all else to standard error.
#pragma once

#include <string_view>

#include "base/result.h"

namespace heddle::cli {

// A standard stream that is closed gets a file that cannot be written, so that what the program
// opens does not take its place. Before anything else is opened.
void keep_standard_streams();

// A line of the result, written at once. kIo: it cannot be.
Result<void> print_result(std::string_view line);

// A line on standard error. Where that cannot be written there is nobody to tell.
void print_note(std::string_view line);

}  // namespace heddle::cli
