#include "gateway/upstream_retry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>

namespace heddle::gateway {
namespace {

constexpr std::array<std::string_view, 3> kReasons = {"connect_failure", "reset", "status"};

int number(std::string_view text) {
  int value = -1;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

// RFC 9110 section 9.2.2.
bool is_idempotent(std::string_view method) {
  constexpr std::array<std::string_view, 6> kMethods = {"GET", "HEAD",  "OPTIONS",
                                                        "PUT", "TRACE", "DELETE"};
  return std::ranges::find(kMethods, method) != kMethods.end();
}

}  // namespace

bool matches_status(const std::vector<std::string>& ranges, int status) {
  return std::ranges::any_of(ranges, [&](std::string_view range) {
    const std::size_t dash = range.find('-');
    const int first = number(range.substr(0, dash));
    const int last = dash == std::string_view::npos ? first : number(range.substr(dash + 1));
    return first <= status && status <= last;
  });
}

RetryPolicy::RetryPolicy(const config::Retry& options)
    : max_retries_(options.max_retries),
      max_body_(options.max_body),
      per_try_timeout_(options.per_try_timeout),
      backoff_base_(options.backoff_base),
      backoff_max_(options.backoff_max),
      non_idempotent_(options.non_idempotent) {
  for (std::size_t i = 0; i < kReasons.size(); ++i) {
    reasons_[i] = std::ranges::find(options.on, kReasons.at(i)) != options.on.end();
  }
  for (std::size_t i = 0; i < statuses_.size(); ++i) {
    statuses_[i] = matches_status(options.retryable_codes, static_cast<int>(i));
  }
  for (const std::string& code : options.retryable_grpc_codes) {
    grpc_codes_[static_cast<std::size_t>(number(code))] = true;
  }
}

bool RetryPolicy::allows(Reason reason, const http::HeaderMap& request) const {
  if (!reasons_[static_cast<std::size_t>(reason)]) return false;
  if (reason == Reason::kConnectFailure || non_idempotent_) return true;
  if (is_idempotent(request.get(":method").value_or(""))) return true;
  return grpc_codes_.any() &&
         request.get("content-type").value_or("").starts_with("application/grpc");
}

bool RetryPolicy::is_retryable(const http::Head& response, bool end) const {
  const auto status = static_cast<std::size_t>(response.status());
  if (status < statuses_.size() && statuses_[status]) return true;
  if (!end || grpc_codes_.none()) return false;
  const auto code = response.headers.get("grpc-status");
  if (!code) return false;
  const int value = number(*code);
  return value >= 0 && static_cast<std::size_t>(value) < grpc_codes_.size() &&
         grpc_codes_[static_cast<std::size_t>(value)];
}

std::chrono::nanoseconds RetryPolicy::pause(std::uint32_t number, double chance) const {
  const std::uint32_t doublings = std::min<std::uint32_t>(number - 1, 30);
  const double span = std::min(static_cast<double>(backoff_base_.count()) *
                                   static_cast<double>(std::uint64_t{1} << doublings),
                               static_cast<double>(backoff_max_.count()));
  return std::chrono::nanoseconds(static_cast<std::int64_t>(span * chance));
}

}  // namespace heddle::gateway
