#include "gateway/native_filters.h"

#include <utility>

#include "gateway/native_cors.h"
#include "gateway/native_headers.h"
#include "gateway/native_rate_limit.h"

namespace heddle::gateway {

NativeFilters::NativeFilters(metrics::Registry& metrics) : metrics_(metrics) {}
NativeFilters::~NativeFilters() = default;

std::vector<NativeEntry> NativeFilters::of_route(const config::Config& config,
                                                 const config::Route* route) {
  std::vector<NativeEntry> out;
  const auto add = [&](int priority, std::shared_ptr<extension::HttpFilterFactory> factory) {
    const extension::FilterInterest interest = factory->interest();
    out.push_back({priority, {std::move(factory), interest, 0}});
  };
  const std::string id = route != nullptr ? route->id : "";
  const config::Cors& cors = route != nullptr ? route->cors : config.cors;
  if (cors.enabled) add(cors.priority, make_cors_filter(cors, id, metrics_));
  const config::RateLimit& limit = route != nullptr ? route->rate_limit : config.rate_limit;
  if (limit.enabled) {
    // Routes that say nothing of their own count together.
    const std::string scope = limit == config.rate_limit ? "" : id;
    add(limit.priority, make_rate_limit_filter(limit, id, table(limit, scope), metrics_));
  }
  const auto rules = [&](const config::HeaderRules& wanted, Side side) {
    if (!wanted.empty()) add(wanted.priority, make_header_filter(wanted, side));
  };
  // A response meets the last filter first: either side has the common rules first.
  rules(config.request_headers, Side::kRequest);
  if (route != nullptr) {
    rules(route->request_headers, Side::kRequest);
    rules(route->response_headers, Side::kResponse);
  }
  rules(config.response_headers, Side::kResponse);
  return out;
}

std::shared_ptr<RateLimitTable> NativeFilters::table(const config::RateLimit& settings,
                                                     const std::string& scope) {
  const std::string counted = scope + "\n" + settings.key + "\n" + settings.header + "\n" +
                              std::to_string(settings.max_keys);
  auto& out = tables_[counted];
  if (!out) out = std::make_shared<RateLimitTable>(settings.max_keys);
  return out;
}

void NativeFilters::forget_unused() {
  std::erase_if(tables_, [](const auto& known) { return known.second.use_count() == 1; });
}

}  // namespace heddle::gateway
