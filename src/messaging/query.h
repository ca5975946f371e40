// The query of a request target, decoded.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "messaging/outcome.h"

namespace heddle::messaging {

class QueryParameters {
 public:
  // 400 for a parameter that is not in `known`, twice there, or not decodable.
  static Outcome<QueryParameters> parse(std::string_view query,
                                        std::initializer_list<std::string_view> known);

  std::string text(std::string_view name) const;  // empty: absent
  // 400 when it is not a number from 0 to `max`.
  Outcome<std::uint64_t> number(std::string_view name, std::uint64_t absent,
                                std::uint64_t max) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

}  // namespace heddle::messaging
