// Makes the message service from the configuration, and owns it with its origin.
#pragma once

#include <memory>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "extension/message_hook_chain.h"
#include "messaging/fanout.h"
#include "messaging/origin.h"
#include "messaging/service.h"
#include "net/blocking_pool.h"
#include "net/worker.h"

namespace heddle::cli {

// Made before the workers start; finish() while they run, destroyed when they have ended.
class MessageSet {
 public:
  // Opens the database. Null: there is no message service. `hooks` outlives the set; housekeeping
  // and Redis are on `worker`, and `pool` resolves names. The error names the setting or the file.
  static Result<std::unique_ptr<MessageSet>> create(const config::Config& config,
                                                    const extension::MessageHooks& hooks,
                                                    net::Worker& worker, net::BlockingPool& pool,
                                                    metrics::Registry& metrics, Log& log);
  // Returns when the last request has ended and other servers were told of it. Not on a worker; no
  // request comes any more.
  void finish();

  extension::HttpOrigin& origin() { return origin_; }
  messaging::MessageService& service() { return service_; }

 private:
  explicit MessageSet(messaging::MessageService::Dependencies dependencies)
      : service_(std::move(dependencies)), origin_(service_) {}

  messaging::MessageService service_;
  messaging::MessageOrigin origin_;
  std::unique_ptr<messaging::Fanout> fanout_;  // null: there are no other servers
};

}  // namespace heddle::cli
