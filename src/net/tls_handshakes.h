// Counts the handshakes of a listener with its clients, and logs those that fail. One for each
// listener and worker; worker thread only.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "net/tls.h"

namespace heddle::net {

class TlsHandshakes {
 public:
  TlsHandshakes(Log& log, metrics::Registry& registry);

  void succeeded(const TlsInfo& info);

  struct Failure {
    TlsFailure kind;
    std::string_view error;
    std::string_view remote;
    std::string_view local;
  };
  // Scanners make failures by the thousand: of those of a second one is logged, with their number.
  void failed(const Failure& failure, Nanoseconds now);

 private:
  Log& log_;
  std::shared_ptr<metrics::Counter> full_;
  std::shared_ptr<metrics::Counter> resumed_;
  std::array<std::shared_ptr<metrics::Counter>, kTlsFailures> failures_;
  Nanoseconds next_log_ = 0;
  std::size_t unlogged_ = 0;
};

}  // namespace heddle::net
