#include "services/jwks_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "services/outbound_url.h"

namespace heddle::services {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kLeastInterval = 10 * kSecond;
constexpr Nanoseconds kLongestPause = 60 * kSecond;
constexpr std::chrono::seconds kTimeout{5};
constexpr std::size_t kMaxWaiters = 10'000;

}  // namespace

// What a worker keeps of a fetch; with the worker goes the fetch.
struct JwksSource::Fetch final : net::Worker::Local {
  explicit Fetch(std::shared_ptr<JwksSource> s) : source(std::move(s)) {}
  ~Fetch() override {
    const bool unfinished = std::exchange(running, nullptr) != nullptr;
    if (unfinished) source->finish(fail(ErrorKind::kUnavailable, "the worker ended"));
  }
  Fetch(const Fetch&) = delete;
  Fetch& operator=(const Fetch&) = delete;
  std::shared_ptr<JwksSource> source;
  Pending running;
};

Result<std::shared_ptr<JwksSource>> JwksSource::create(const std::string& url,
                                                       std::chrono::seconds refresh,
                                                       OutboundHttp& outbound, Log& log) {
  const auto parsed = parse_outbound_url(url);
  if (!parsed) return std::unexpected(Error(parsed.error()).within("auth.jwt.jwks_url: "));
  OutboundRequest request{.plugin = "auth", .url = url, .timeout = kTimeout};
  // The operator named it, so it may be anywhere; a redirect leads nowhere else.
  const std::string host = parsed->host.contains(':') ? "[" + parsed->host + "]" : parsed->host;
  request.permissions = std::make_shared<const HttpPermissions>(
      HttpPermissions{.hosts = {fmt::format("{}:{}", host, parsed->port)},
                      .private_networks = {"0.0.0.0/0", "::/0"}});
  request.headers = {{"accept", "application/jwk-set+json, application/json"}};
  return std::make_shared<JwksSource>(std::move(request), refresh, outbound, log);
}

bool JwksSource::begin_fetch(Nanoseconds now) {
  if (fetching_ || now < next_try_) return false;
  fetching_ = true;
  return true;
}

JwksSource::KeysPtr JwksSource::current(net::Worker& worker) {
  KeysPtr out;
  bool begin = false;
  {
    const std::lock_guard lock(mutex_);
    const Nanoseconds now = monotonic_now();
    out = keys_;
    begin = keys_ && now - fetched_ > to_nanoseconds(refresh_) && begin_fetch(now);
  }
  if (begin) start(worker);
  return out;
}

void JwksSource::fetch(net::Worker& worker, Waiter waiter) {
  KeysPtr known;
  bool begin = false;
  {
    const std::lock_guard lock(mutex_);
    begin = begin_fetch(monotonic_now());
    if (fetching_ && waiters_.size() < kMaxWaiters) {
      waiters_.push_back(std::move(waiter));
      waiter = nullptr;
    }
    known = keys_;
  }
  if (begin) start(worker);
  if (waiter) waiter(known);
}

void JwksSource::start(net::Worker& worker) {
  auto* local = static_cast<Fetch*>(worker.find_local(key_));
  if (local == nullptr) {
    auto made = std::make_unique<Fetch>(shared_from_this());
    local = made.get();
    worker.keep_local(key_, std::move(made));
  }
  OutboundRequest request = request_;
  local->running = outbound_.call(worker, std::move(request),
                                  [local, self = shared_from_this()](const auto& response) {
                                    const Pending over = std::move(local->running);
                                    self->finish(response);
                                  });
}

Result<JwtKeys> JwksSource::read(const Result<OutboundResponse>& response) const {
  if (!response) return std::unexpected(response.error());
  if (response->status != 200) {
    return fail(ErrorKind::kUnavailable, fmt::format("status {}", response->status));
  }
  return parse_jwk_set(response->body);
}

void JwksSource::finish(const Result<OutboundResponse>& response) {
  auto keys = read(response);
  if (!keys) {
    log_.warn("the keys of tokens cannot be fetched",
              {{"url", request_.url}, {"error", keys.error().message}});
  }
  std::vector<Waiter> waiters;
  KeysPtr known;
  {
    const std::lock_guard lock(mutex_);
    const Nanoseconds now = monotonic_now();
    fetching_ = false;
    if (keys) {
      keys_ = std::make_shared<const JwtKeys>(std::move(*keys));
      fetched_ = now;
      pause_ = 0;
      next_try_ = now + kLeastInterval;
    } else {
      pause_ = std::clamp(pause_ * 2, kSecond, kLongestPause);
      next_try_ = now + pause_;
    }
    known = keys_;
    waiters.swap(waiters_);
  }
  for (Waiter& waiter : waiters) waiter(known);
}

}  // namespace heddle::services
