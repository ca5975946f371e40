// The members of a JSON object as they are written: what is passed on keeps its numbers' digits,
// its order and its white space, which a parsed value has lost.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::route {

inline constexpr std::size_t kMaxJsonDepth =
    64;  // of manifests, configurations, bodies and results

struct JsonMember {
  std::string key;         // without quotes, escapes resolved
  std::string_view value;  // of the object's text
};

// `object` is the text of one JSON object that was parsed before.
std::vector<JsonMember> json_members(std::string_view object);

// The same text without white space between its tokens. `json` was parsed before.
std::string compact_json(std::string_view json);

}  // namespace heddle::route
