// One use of an upstream by a plugin's call, as it counts in heddle_upstream_*: active while it
// lives, and one response or failure.
#pragma once

#include <cstddef>
#include <utility>

#include "gateway/snapshot.h"

namespace heddle::gateway {

class UpstreamUse {
 public:
  // `metrics` outlives this; null: an address that is no configured upstream counts nowhere.
  explicit UpstreamUse(const UpstreamMetrics* metrics) : metrics_(metrics) {
    if (metrics_ != nullptr) metrics_->active->add(1);
  }
  ~UpstreamUse() {
    if (metrics_ != nullptr) metrics_->active->add(-1);
  }
  UpstreamUse(const UpstreamUse&) = delete;
  UpstreamUse& operator=(const UpstreamUse&) = delete;

  // The first of these counts.
  void answered(int status) {
    count(status >= 100 && status < 600 ? static_cast<std::size_t>(status / 100) : 0);
  }
  void failed() { count(0); }

 private:
  void count(std::size_t status_class) {
    if (metrics_ == nullptr || std::exchange(counted_, true)) return;
    metrics_->responses.at(status_class)->add();
  }

  const UpstreamMetrics* metrics_;
  bool counted_ = false;
};

}  // namespace heddle::gateway
