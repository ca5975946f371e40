// What a handler returned, read from guest memory (design/contracts.md, section 2): a pointer to a
// little-endian length and that many bytes of JSON, or to JSON itself, or null. Pure; the memory
// and the pointer are hostile.
#pragma once

#include <boost/json/value.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "sandbox/guest_memory.h"

namespace heddle::route {

struct HandlerResponse {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names, checked
  std::string body;
};

struct GuestJson {
  std::string_view text;     // in guest memory; "null" for a null pointer
  boost::json::value value;  // null also where the text is surely no envelope
  bool prefixed = false;
};

// The one JSON value at `address`, at most `limit` bytes of it. Errors: kInvalidArgument (neither
// convention gives JSON; out of bounds), kLimit (longer than `limit`).
Result<GuestJson> find_result(const sandbox::GuestMemory& memory, sandbox::GuestPtr address,
                              std::size_t limit);

// An object with an integer `status` and a `body` or `headers` is a whole response; anything else
// is the body of a 200. Errors (kInvalidArgument) name what an envelope has wrong: a status outside
// of 200 to 599, a header's name or value, base64.
Result<HandlerResponse> read_response(const GuestJson& result);

}  // namespace heddle::route
