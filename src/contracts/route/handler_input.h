// The JSON object that a handler gets (design/contracts.md, section 2; the union of what the seed
// and the current Orbis SDK read):
//
//   {"method","path","params":{},"query":{},"headers":{},"body","user","user_id","is_admin","request_id"}
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace heddle::route {

struct HandlerRequest {
  std::string method;
  std::string target;  // path and query as received
  std::vector<std::pair<std::string, std::string>> params;
  std::vector<std::pair<std::string, std::string>> headers;  // lower-case names, may repeat
  std::string body;
  std::string user_json;  // empty: nobody is known
  std::string subject;
  std::string request_id;
};

// `body`: null when empty; a JSON value when the content type says JSON; else text, or base64
// beside
// `"body_encoding":"base64"` when it is not UTF-8. Of a name that repeats in the query the last
// value counts; headers that repeat are joined with ", ". `merge_body` repeats the keys of a JSON
// object body at the top level, never over one of the context. Errors (kInvalidArgument) are the
// client's: a body that is called JSON and is none, or nests deeper than 64 levels.
Result<std::string> handler_input(const HandlerRequest& request, bool merge_body);

// "application/json", "application/problem+json; charset=utf-8".
bool is_json_type(std::string_view content_type);

}  // namespace heddle::route
