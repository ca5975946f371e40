#include "messaging/outcome.h"

namespace heddle::messaging {

Refusal refusal_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kNotFound:
      return {.status = 404, .code = "not_found", .message = error.message};
    case ErrorKind::kConflict:
      return {.status = 409, .code = "conflict", .message = error.message};
    case ErrorKind::kLimit:
      return {.status = 507, .code = "mailbox_full", .message = error.message};
    default:
      // What there is to know (hosts, users, files) is in the log.
      return {.status = 503,
              .code = "unavailable",
              .message = "this cannot be done now; try again later",
              .retry_after = 1};
  }
}

}  // namespace heddle::messaging
