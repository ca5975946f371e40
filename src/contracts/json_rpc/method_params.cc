#include "contracts/json_rpc/method_params.h"

#include <fmt/format.h>

namespace heddle::json_rpc {

const boost::json::value* Params::value(std::string_view name) const {
  return object_ == nullptr ? nullptr : object_->if_contains(name);
}

void Params::complain(std::string_view name, std::string_view what) {
  if (!problem_.empty()) return;
  problem_ = object_ == nullptr ? "params must be an object" : fmt::format("{} {}", name, what);
}

std::string Params::text(std::string_view name) {
  const auto* found = value(name);
  if (found != nullptr && found->is_string()) return std::string(found->get_string());
  complain(name, "must be a string");
  return {};
}

std::string Params::text(std::string_view name, std::string_view other) {
  const auto* found = value(name);
  if (found == nullptr || found->is_null()) return std::string(other);
  return text(name);
}

std::int64_t Params::number(std::string_view name, std::int64_t other, std::int64_t least,
                            std::int64_t most) {
  const auto* found = value(name);
  if (found == nullptr || found->is_null()) return other;
  boost::system::error_code error;
  const auto number = found->is_number() ? found->to_number<std::int64_t>(error) : least - 1;
  if (error || number < least || number > most) {
    complain(name, fmt::format("must be a whole number from {} to {}", least, most));
    return other;
  }
  return number;
}

}  // namespace heddle::json_rpc
