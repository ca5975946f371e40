// Why a request could not be answered by its handler, as the client sees it.
#pragma once

#include <expected>
#include <string>

#include "base/result.h"
#include "sandbox/instance.h"

namespace heddle::route {

struct Failure {
  int status = 500;
  std::string code;     // "plugin_error", "timeout", …
  std::string message;  // without anything of the guest's memory
};

template <typename T>
using Outcome = std::expected<T, Failure>;

// 504 for time, 507 for memory and host calls, else 500.
Failure failure_of(const sandbox::Trap& trap);
// 503: an instance could not be made.
Failure failure_of(const Error& error);

// {"error":{"code","message","request_id"}}
std::string failure_json(const Failure& failure, const std::string& request_id);

}  // namespace heddle::route
