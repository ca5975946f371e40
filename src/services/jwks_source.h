// The keys of an issuer, fetched from its JWKS URL: at the first token, when they grew old (the old
// ones serve meanwhile), and when a token names a key that is not among them, though not more often
// than every ten seconds. While the issuer does not answer the old keys go on serving, and attempts
// become rarer, up to one a minute.
//
// Any worker may ask; the fetch runs on the one that was first.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "net/worker.h"
#include "services/jwt_keys.h"
#include "services/outbound_http.h"

namespace heddle::services {

class JwksSource : public std::enable_shared_from_this<JwksSource> {
 public:
  using KeysPtr = std::shared_ptr<const JwtKeys>;
  // Null: the keys cannot be had.
  using Waiter = std::move_only_function<void(const KeysPtr&)>;

  static Result<std::shared_ptr<JwksSource>> create(const std::string& url,
                                                    std::chrono::seconds refresh,
                                                    OutboundHttp& outbound, Log& log);
  JwksSource(OutboundRequest request, std::chrono::seconds refresh, OutboundHttp& outbound,
             Log& log)
      : request_(std::move(request)), refresh_(refresh), outbound_(outbound), log_(log) {}

  // What is known now; null: nothing yet. Fetches in the background when it is old.
  KeysPtr current(net::Worker& worker);
  // Calls `waiter` (on any worker) after the next fetch, or from within when none may be made now.
  void fetch(net::Worker& worker, Waiter waiter);

 private:
  struct Fetch;
  bool begin_fetch(Nanoseconds now);  // with mutex_ held
  void start(net::Worker& worker);
  void finish(const Result<OutboundResponse>& response);
  Result<JwtKeys> read(const Result<OutboundResponse>& response) const;

  const OutboundRequest request_;
  const std::chrono::seconds refresh_;
  OutboundHttp& outbound_;
  Log& log_;
  const net::Worker::LocalKey key_ = net::Worker::new_local_key();

  std::mutex mutex_;  // guards what follows
  KeysPtr keys_;
  Nanoseconds fetched_ = 0;
  Nanoseconds next_try_ = 0;
  Nanoseconds pause_ = 0;
  bool fetching_ = false;
  std::vector<Waiter> waiters_;
};

}  // namespace heddle::services
