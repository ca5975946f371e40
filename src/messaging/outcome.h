// How the message service refuses: what an HTTP answer needs, decided where the reason is known.
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/result.h"

namespace heddle::messaging {

// NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
struct Refusal {
  int status = 500;
  std::string code = {};     // for programs: "unauthorized", "blocked", …
  std::string message = {};  // for people
  std::string plugin = {};   // of "blocked": who said so
  int retry_after = 0;       // seconds; 0: nothing to say
};
// NOLINTEND(readability-redundant-member-init)

template <typename T>
using Outcome = std::expected<T, Refusal>;

inline std::unexpected<Refusal> refuse(int status, std::string code, std::string message) {
  return std::unexpected(
      Refusal{.status = status, .code = std::move(code), .message = std::move(message)});
}

// What a failure of the storage is to a client.
Refusal refusal_of(const Error& error);

}  // namespace heddle::messaging
