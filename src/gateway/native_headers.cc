#include "gateway/native_headers.h"

#include <string_view>
#include <utility>

#include "gateway/native_filter.h"

namespace heddle::gateway {

using extension::FilterHost;
using extension::FilterInterest;
using extension::HeadersAction;

namespace {

FilterInterest interest_of(Side side) {
  // What the rules write is the configuration's own: it does not choose the route anew.
  if (side == Side::kRequest) return {.request_headers = true, .keeps_route = true};
  return {.response_headers = true};
}

// The host of a request is its pseudo-header.
std::string_view field_name(const std::string& name) {
  return http::equals_ignoring_case(name, "host") ? std::string_view(":authority") : name;
}

class HeaderFilter final : public NativeFilter {
 public:
  explicit HeaderFilter(const config::HeaderRules& rules) : rules_(rules) {}

  HeadersAction on_request_headers(http::HeaderMap& headers, bool /*end*/) override {
    apply(headers);
    return HeadersAction::kContinue;
  }
  HeadersAction on_response_headers(http::HeaderMap& headers, bool /*end*/) override {
    apply(headers);
    return HeadersAction::kContinue;
  }

 private:
  void apply(http::HeaderMap& headers) const {
    for (const std::string& name : rules_.remove) headers.remove(name);
    for (const config::Match& rule : rules_.set) headers.set(field_name(rule.name), rule.value);
    for (const config::Match& rule : rules_.add) headers.add(rule.name, rule.value);
  }

  const config::HeaderRules& rules_;
};

class HeaderFactory final : public NativeFactory {
 public:
  HeaderFactory(config::HeaderRules rules, Side side)
      : NativeFactory(side == Side::kRequest ? "request_headers" : "response_headers",
                      interest_of(side)),
        rules_(std::move(rules)) {}

  std::unique_ptr<extension::HttpFilter> create(FilterHost& /*host*/) override {
    return std::make_unique<HeaderFilter>(rules_);
  }

 private:
  config::HeaderRules rules_;
};

}  // namespace

std::shared_ptr<extension::HttpFilterFactory> make_header_filter(const config::HeaderRules& rules,
                                                                 Side side) {
  return std::make_shared<HeaderFactory>(rules, side);
}

}  // namespace heddle::gateway
