#include "gateway/native_cors.h"

#include <algorithm>
#include <array>
#include <utility>

#include "gateway/forwarding.h"
#include "gateway/native_filter.h"

namespace heddle::gateway {

using extension::FilterHost;
using extension::HeadersAction;

namespace {

constexpr std::size_t kMostAskedBytes = 4096;  // of access-control-request-headers
constexpr std::string_view kAny = "*";

bool part_of_a_name(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-';
}

// `*` in a pattern stands for one or more characters of a host name or port.
bool matches(std::string_view pattern, std::string_view text) {
  const std::size_t star = pattern.find('*');
  if (star == std::string_view::npos) return http::equals_ignoring_case(pattern, text);
  if (text.size() <= star ||
      !http::equals_ignoring_case(pattern.substr(0, star), text.substr(0, star)))
    return false;
  pattern.remove_prefix(star + 1);
  text.remove_prefix(star);
  while (!text.empty() && part_of_a_name(text.front())) {
    text.remove_prefix(1);
    if (matches(pattern, text)) return true;
  }
  return false;
}

std::string joined(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

bool holds(const std::vector<std::string>& items, std::string_view item) {
  return std::ranges::find(items, item) != items.end();
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(" \t") + 1);
}

void add_vary(http::HeaderMap& headers, std::string_view name) {
  if (!headers.has_token("vary", name) && !headers.has_token("vary", kAny))
    headers.add("vary", name);
}

}  // namespace

CorsPolicy::CorsPolicy(const config::Cors& settings)
    : settings_(settings),
      methods_(joined(settings.allow_methods)),
      exposed_(joined(settings.expose_headers)),
      max_age_(std::to_string(
          std::chrono::duration_cast<std::chrono::seconds>(settings.max_age).count())),
      any_origin_(holds(settings.allow_origins, kAny)),
      any_method_(holds(settings.allow_methods, kAny)),
      any_header_(holds(settings.allow_headers, kAny)),
      varies_(!(any_origin_ && settings.allow_origins.size() == 1)) {}

bool CorsPolicy::named(std::string_view origin) const {
  return std::ranges::any_of(settings_.allow_origins, [&](const std::string& pattern) {
    return pattern != kAny && matches(pattern, origin);
  });
}

std::string_view CorsPolicy::allow_origin(std::string_view origin) const {
  if (named(origin)) return origin;
  return any_origin_ ? kAny : std::string_view();
}

bool CorsPolicy::allow_credentials(std::string_view origin) const {
  return settings_.allow_credentials && named(origin);
}

bool CorsPolicy::allow_method(std::string_view method) const {
  return any_method_ || holds(settings_.allow_methods, method);
}

std::string_view CorsPolicy::allow_headers(std::string_view asked) const {
  if (asked.size() > kMostAskedBytes) return {};
  std::string_view rest = asked;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    const std::string_view name = trimmed(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    if (name.empty()) continue;
    const bool listed = std::ranges::any_of(settings_.allow_headers, [&](const std::string& known) {
      return http::equals_ignoring_case(known, name);
    });
    if (!http::is_token(name) || !(any_header_ || listed)) return {};
  }
  return asked;
}

std::string_view announced_method(const http::HeaderMap& headers) {
  if (headers.get(":method") != "OPTIONS" || !headers.contains("origin")) return {};
  return headers.get("access-control-request-method").value_or("");
}

namespace {

class CorsFactory final : public NativeFactory {
 public:
  CorsFactory(const config::Cors& settings, const std::string& route, metrics::Registry& metrics)
      : NativeFactory("cors", {.request_headers = true, .response_headers = true}),
        policy_(settings),
        preflights_(counter(metrics, route, "preflight")),
        allowed_(counter(metrics, route, "allowed")),
        refused_(counter(metrics, route, "refused")) {}

  std::unique_ptr<extension::HttpFilter> create(FilterHost& host) override;
  const CorsPolicy& policy() const { return policy_; }
  void count_preflight() { preflights_->add(); }
  void count(bool allowed) { (allowed ? allowed_ : refused_)->add(); }

 private:
  static std::shared_ptr<metrics::Counter> counter(metrics::Registry& metrics,
                                                   const std::string& route, std::string result) {
    return metrics.counter("heddle_cors_requests_total",
                           "Requests of pages of other origins, by what became of them",
                           {{"route", route}, {"result", std::move(result)}});
  }

  CorsPolicy policy_;
  std::shared_ptr<metrics::Counter> preflights_;
  std::shared_ptr<metrics::Counter> allowed_;
  std::shared_ptr<metrics::Counter> refused_;
};

class CorsFilter final : public NativeFilter {
 public:
  CorsFilter(CorsFactory& factory, FilterHost& host)
      : factory_(factory), policy_(factory.policy()), host_(host) {}

  HeadersAction on_request_headers(http::HeaderMap& headers, bool /*end*/) override {
    if (!headers.contains("origin")) return HeadersAction::kContinue;
    origin_ = headers.get_joined("origin").value_or("");  // several are none that could be allowed
    const std::string_view method = announced_method(headers);
    if (method.empty()) {
      factory_.count(!policy_.allow_origin(origin_).empty());
      return HeadersAction::kContinue;
    }
    preflight_ = true;
    answer_preflight(method, headers.get_joined("access-control-request-headers").value_or(""));
    return HeadersAction::kStop;
  }

  HeadersAction on_response_headers(http::HeaderMap& headers, bool /*end*/) override {
    for (const std::string_view name :
         {"access-control-allow-origin", "access-control-allow-credentials",
          "access-control-expose-headers", "access-control-allow-methods",
          "access-control-allow-headers", "access-control-max-age"}) {
      headers.remove(name);
    }
    if (policy_.varies()) add_vary(headers, "origin");
    if (preflight_) {
      add_vary(headers, "access-control-request-method");
      add_vary(headers, "access-control-request-headers");
    }
    const std::string_view allowed = policy_.allow_origin(origin_);
    if (origin_.empty() || allowed.empty() || refused_) return HeadersAction::kContinue;
    headers.add("access-control-allow-origin", allowed);
    if (policy_.allow_credentials(origin_)) headers.add("access-control-allow-credentials", "true");
    if (preflight_) {
      headers.add("access-control-allow-methods", method_);
      if (!asked_.empty()) headers.add("access-control-allow-headers", asked_);
      headers.add("access-control-max-age", policy_.max_age());
    } else if (!policy_.exposed().empty()) {
      headers.add("access-control-expose-headers", policy_.exposed());
    }
    return HeadersAction::kContinue;
  }

 private:
  void answer_preflight(std::string_view method, std::string_view asked) {
    factory_.count_preflight();
    std::string_view problem;
    if (policy_.allow_origin(origin_).empty()) {
      problem = "this origin is not allowed";
    } else if (!policy_.allow_method(method)) {
      problem = "this method is not allowed";
    } else if (!asked.empty() && policy_.allow_headers(asked).empty()) {
      problem = "these headers are not allowed";
    }
    if (problem.empty()) {
      // With "*" the method is named, as the star does not count with credentials.
      method_ = holds_star() ? std::string(method) : policy_.methods();
      asked_ = asked;
      host_.send_local_reply(
          {.status = 204, .details = "cors_preflight", .headers = {}, .body = {}});
      return;
    }
    refused_ = true;
    factory_.count(false);
    host_.send_local_reply(
        error_reply(403, "cors_refused", problem, host_.info().request_id, "cors_refused"));
  }

  bool holds_star() const { return policy_.methods().contains('*'); }

  CorsFactory& factory_;
  const CorsPolicy& policy_;
  FilterHost& host_;
  std::string origin_;
  std::string method_;
  std::string asked_;
  bool preflight_ = false;
  bool refused_ = false;
};

std::unique_ptr<extension::HttpFilter> CorsFactory::create(FilterHost& host) {
  return std::make_unique<CorsFilter>(*this, host);
}

}  // namespace

std::shared_ptr<extension::HttpFilterFactory> make_cors_filter(const config::Cors& settings,
                                                               const std::string& route,
                                                               metrics::Registry& metrics) {
  return std::make_shared<CorsFactory>(settings, route, metrics);
}

}  // namespace heddle::gateway
