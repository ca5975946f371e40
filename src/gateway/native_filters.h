// Filters that Heddle brings along: rate limit, CORS, header rules. They stand in the same chain as
// plugins and are ordered with them by priority; of equal priority they come first.
//
// Control thread. What they remember (the buckets of a rate limit) outlives a reload that does not
// change what is counted.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "config/config.h"
#include "gateway/filter_chain.h"

namespace heddle::gateway {

class RateLimitTable;

struct NativeEntry {
  int priority = 0;
  ChainEntry entry;
};

class NativeFilters {
 public:
  explicit NativeFilters(metrics::Registry& metrics);
  ~NativeFilters();
  NativeFilters(const NativeFilters&) = delete;
  NativeFilters& operator=(const NativeFilters&) = delete;

  // Those of a route, or with null of requests that match no route.
  std::vector<NativeEntry> of_route(const config::Config& config, const config::Route* route);
  // Forgets what the configuration no longer counts.
  void forget_unused();

 private:
  std::shared_ptr<RateLimitTable> table(const config::RateLimit& settings,
                                        const std::string& scope);

  metrics::Registry& metrics_;
  std::map<std::string, std::shared_ptr<RateLimitTable>> tables_;  // by what they count
};

}  // namespace heddle::gateway
