#include "gateway/native_rate_limit.h"

#include <arpa/inet.h>
#include <sodium/crypto_shorthash.h>
#include <sodium/randombytes.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "gateway/forwarding.h"
#include "gateway/native_filter.h"
#include "net/worker.h"

namespace heddle::gateway {

using extension::FilterHost;
using extension::HeadersAction;

namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr int kGrpcResourceExhausted = 8;

std::string whole_seconds(Nanoseconds time) {
  return std::to_string((time + kSecond - 1) / kSecond);
}

}  // namespace

RateLimitRule RateLimitRule::of(const config::RateLimit& settings) {
  const Nanoseconds period = to_nanoseconds(settings.period);
  const Nanoseconds interval = std::max<Nanoseconds>(1, period / settings.rate);
  constexpr Nanoseconds kMost = std::int64_t{1} << 61;  // some decades
  const Nanoseconds burst = std::min<Nanoseconds>(settings.burst, kMost / interval);
  return {.interval = interval, .capacity = burst * interval};
}

RateLimitTable::RateLimitTable(std::size_t max_keys)
    : secret_(crypto_shorthash_KEYBYTES), slots_((max_keys + kWays - 1) / kWays * kWays) {
  randombytes_buf(secret_.data(), secret_.size());
}

std::uint64_t RateLimitTable::hash(std::string_view key) const {
  std::array<unsigned char, crypto_shorthash_BYTES> out{};
  crypto_shorthash(out.data(), reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                   secret_.data());
  std::uint64_t number = 0;
  std::memcpy(&number, out.data(), sizeof number);
  return number | 1U;
}

RateLimitTable::Decision RateLimitTable::take(std::string_view key, const RateLimitRule& rule,
                                              Nanoseconds now) {
  bool evicted = false;
  Slot& slot = place(hash(key), now, evicted);
  Decision out = charge(slot, rule, now);
  out.evicted = evicted;
  return out;
}

// Two workers that meet here may count a request to the wrong bucket; the table stays whole.
RateLimitTable::Slot& RateLimitTable::place(std::uint64_t key, Nanoseconds now, bool& evicted) {
  Slot* const first = &slots_[(key >> 1U) % (slots_.size() / kWays) * kWays];
  for (Slot* slot = first; slot != first + kWays; ++slot) {
    if (slot->key.load(std::memory_order_acquire) == key) return *slot;
  }
  Slot* const victim = std::min_element(first, first + kWays, [](const Slot& a, const Slot& b) {
    return a.full_at.load(std::memory_order_relaxed) < b.full_at.load(std::memory_order_relaxed);
  });
  std::uint64_t old = victim->key.load(std::memory_order_relaxed);
  const Nanoseconds full_at = victim->full_at.load(std::memory_order_relaxed);
  if (old != key && victim->key.compare_exchange_strong(old, key, std::memory_order_acq_rel)) {
    evicted = old != 0 && full_at > now;
    victim->full_at.store(0, std::memory_order_relaxed);
  }
  return *victim;
}

RateLimitTable::Decision RateLimitTable::charge(Slot& slot, const RateLimitRule& rule,
                                                Nanoseconds now) {
  Nanoseconds full_at = slot.full_at.load(std::memory_order_relaxed);
  while (true) {
    // No further ahead than a full debt: a smaller burst after a reload frees whoever waits.
    const Nanoseconds from = std::clamp(full_at, now, now + rule.capacity);
    const Nanoseconds next = from + rule.interval;
    if (next - now > rule.capacity) {
      return {.allowed = false, .retry_after = next - now - rule.capacity, .reset = from - now};
    }
    if (slot.full_at.compare_exchange_weak(full_at, next, std::memory_order_relaxed)) {
      const auto left = (rule.capacity - (next - now)) / rule.interval;
      return {.allowed = true, .remaining = static_cast<std::uint32_t>(left), .reset = next - now};
    }
  }
}

std::string client_key(std::string_view remote_ip) {
  if (!remote_ip.contains(':')) return std::string(remote_ip);
  std::string text(remote_ip.substr(0, remote_ip.find('%')));
  in6_addr address{};
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return text;
  const char* bytes = reinterpret_cast<const char*>(&address);
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::array<char, INET_ADDRSTRLEN> dotted{};
    inet_ntop(AF_INET, bytes + 12, dotted.data(), dotted.size());
    return dotted.data();
  }
  return {bytes, 8};
}

namespace {

class RateLimitFactory final : public NativeFactory {
 public:
  RateLimitFactory(const config::RateLimit& settings, const std::string& route,
                   std::shared_ptr<RateLimitTable> table, metrics::Registry& metrics)
      : NativeFactory("rate_limit",
                      {.request_headers = true, .response_headers = settings.headers}),
        settings_(settings),
        rule_(RateLimitRule::of(settings)),
        limit_(std::to_string(settings.burst)),
        table_(std::move(table)),
        allowed_(counter(metrics, route, "allowed")),
        limited_(counter(metrics, route, "limited")),
        evictions_(metrics.counter("heddle_rate_limit_evictions_total",
                                   "Buckets given up before they were full again, as there were "
                                   "more keys than max_keys",
                                   {})) {}

  std::unique_ptr<extension::HttpFilter> create(FilterHost& host) override;

  RateLimitTable::Decision decide(FilterHost& host, const http::HeaderMap& headers) {
    const RateLimitTable::Decision out =
        table_->take(key_of(host, headers), rule_, monotonic_now());
    (out.allowed ? allowed_ : limited_)->add();
    if (out.evicted) evictions_->add();
    return out;
  }
  const std::string& limit() const { return limit_; }

 private:
  static std::shared_ptr<metrics::Counter> counter(metrics::Registry& metrics,
                                                   const std::string& route, std::string result) {
    return metrics.counter("heddle_rate_limit_requests_total",
                           "Requests that the rate limit let pass or answered",
                           {{"route", route}, {"result", std::move(result)}});
  }

  // Without the header a request counts to its address: leaving it out is no way around.
  std::string key_of(FilterHost& host, const http::HeaderMap& headers) const {
    if (settings_.key == "route") return {};
    if (settings_.key == "header") {
      if (const auto value = headers.get(settings_.header)) return "h" + std::string(*value);
    }
    return "c" + client_key(host.info().connection->remote_ip);
  }

  config::RateLimit settings_;
  RateLimitRule rule_;
  std::string limit_;
  std::shared_ptr<RateLimitTable> table_;
  std::shared_ptr<metrics::Counter> allowed_;
  std::shared_ptr<metrics::Counter> limited_;
  std::shared_ptr<metrics::Counter> evictions_;
};

class RateLimitFilter final : public NativeFilter {
 public:
  RateLimitFilter(RateLimitFactory& factory, FilterHost& host) : factory_(factory), host_(host) {}

  HeadersAction on_request_headers(http::HeaderMap& headers, bool /*end*/) override {
    decision_ = factory_.decide(host_, headers);
    if (decision_.allowed) return HeadersAction::kContinue;
    const std::string wait = whole_seconds(decision_.retry_after);
    extension::LocalReply reply =
        error_reply(429, "rate_limited", "too many requests; the next is taken in " + wait + " s",
                    host_.info().request_id, "rate_limited");
    reply.headers.emplace_back("retry-after", wait);
    if (headers.get("content-type").value_or("").starts_with("application/grpc")) {
      reply.grpc_status = kGrpcResourceExhausted;
    }
    host_.send_local_reply(std::move(reply));
    return HeadersAction::kStop;
  }

  HeadersAction on_response_headers(http::HeaderMap& headers, bool /*end*/) override {
    headers.set("x-ratelimit-limit", factory_.limit());
    headers.set("x-ratelimit-remaining", std::to_string(decision_.remaining));
    headers.set("x-ratelimit-reset", whole_seconds(decision_.reset));
    return HeadersAction::kContinue;
  }

 private:
  RateLimitFactory& factory_;
  FilterHost& host_;
  RateLimitTable::Decision decision_;
};

std::unique_ptr<extension::HttpFilter> RateLimitFactory::create(FilterHost& host) {
  return std::make_unique<RateLimitFilter>(*this, host);
}

}  // namespace

std::shared_ptr<extension::HttpFilterFactory> make_rate_limit_filter(
    const config::RateLimit& settings, const std::string& route,
    std::shared_ptr<RateLimitTable> table, metrics::Registry& metrics) {
  return std::make_shared<RateLimitFactory>(settings, route, std::move(table), metrics);
}

}  // namespace heddle::gateway
