// Result<T>: what every function returns whose failure is expected. Exceptions do not cross a
// folder's edge.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace heddle {

// What went wrong, coarsely: callers branch on the kind and show the text.
enum class ErrorKind : std::uint8_t {
  kInvalidArgument,  // the caller's input is wrong (configuration, request, module)
  kNotFound,         // a named thing does not exist
  kConflict,         // a named thing exists already, or changed meanwhile
  kPermission,       // refused by a permission or by the operating system
  kLimit,            // a limit of Heddle was reached; the text names it
  kTimeout,          // not finished in time
  kUnavailable,      // a peer, upstream or resource cannot be reached now
  kIo,               // a system call failed
  kTrap,             // a guest trapped
  kInternal,         // a defect of Heddle itself
};

std::string_view to_string(ErrorKind kind);

// An expected failure. `message` is written for the operator: what failed, which plugin, what to
// do.
struct Error {
  ErrorKind kind = ErrorKind::kInternal;
  std::string message;

  // The same error with words before it: "plugin auth: " + message.
  Error within(std::string_view prefix) && {
    message.insert(0, prefix);
    return std::move(*this);
  }
};

template <typename T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return std::unexpected(Error{kind, std::move(message)});
}

}  // namespace heddle
