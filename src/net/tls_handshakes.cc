#include "net/tls_handshakes.h"

#include <string>
#include <utility>

namespace heddle::net {
namespace {

constexpr Nanoseconds kLogInterval = 1'000'000'000;

constexpr std::array<std::string_view, kTlsFailures> kNames = {
    "none",   "timeout", "closed",      "plain_http", "not_tls", "version",
    "cipher", "alpn",    "certificate", "refused",    "protocol"};

}  // namespace

std::string_view to_string(TlsFailure failure) {
  return kNames.at(static_cast<std::size_t>(failure));
}

TlsHandshakes::TlsHandshakes(Log& log, metrics::Registry& registry) : log_(log) {
  const auto completed = [&registry](const char* resumed) {
    return registry.counter("heddle_tls_handshakes_total",
                            "TLS handshakes with clients that succeeded, by whether the client "
                            "resumed an earlier session",
                            {{"resumed", resumed}});
  };
  full_ = completed("no");
  resumed_ = completed("yes");
  for (std::size_t i = 1; i < kTlsFailures; ++i) {
    failures_.at(i) = registry.counter("heddle_tls_handshake_failures_total",
                                       "TLS handshakes with clients that failed, by reason",
                                       {{"reason", std::string(kNames.at(i))}});
  }
}

void TlsHandshakes::succeeded(const TlsInfo& info) {
  (info.resumed ? resumed_ : full_)->add();
}

void TlsHandshakes::failed(const Failure& failure, Nanoseconds now) {
  const auto kind = failure.kind == TlsFailure::kNone ? TlsFailure::kClosed : failure.kind;
  failures_.at(static_cast<std::size_t>(kind))->add();
  ++unlogged_;
  if (now < next_log_) return;
  next_log_ = now + kLogInterval;
  log_.info("a TLS handshake failed", {{"remote", failure.remote},
                                       {"local", failure.local},
                                       {"reason", to_string(kind)},
                                       {"error", failure.error},
                                       {"failures", std::exchange(unlogged_, 0)}});
}

}  // namespace heddle::net
