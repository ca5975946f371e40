// Makes the services that plugins may reach from the configuration, and owns them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "net/blocking_pool.h"
#include "services/event_bus.h"
#include "services/key_value.h"
#include "services/outbound_http.h"
#include "services/service_metrics.h"
#include "services/services.h"
#include "services/sql.h"
#include "services/user_auth.h"

namespace heddle::cli {

// Destroyed after the contracts and before the workers: its threads' last results go to workers.
class ServiceSet {
 public:
  // Touches no database and no network; reads the files of keys and certificates, and makes
  // `sql.secret` where PostgreSQL needs it. The error names setting and file. `blocking` outlives
  // the set.
  static Result<std::unique_ptr<ServiceSet>> create(const config::Config& config,
                                                    net::BlockingPool& blocking,
                                                    metrics::Registry& metrics, Log& log);

  // What create() would refuse of URLs and files; makes nothing.
  static std::vector<Error> check(const config::Config& config);

  // `auth` is null when neither tokens nor users are configured.
  services::Services view();

 private:
  ServiceSet(const config::Config& config, metrics::Registry& metrics);
  Result<void> make_sql(const config::Config& config);
  Result<void> make_state(const config::Config& config);
  Result<void> make_outbound(const config::Config& config, net::BlockingPool& blocking,
                             metrics::Registry& metrics);
  Result<void> make_auth(const config::Config& config, net::BlockingPool& blocking, Log& log);

  services::ServiceMetrics metrics_;
  services::EventBus events_;
  std::unique_ptr<services::Sql> sql_;
  std::unique_ptr<services::KeyValue> state_;
  std::unique_ptr<services::OutboundHttp> outbound_;
  std::unique_ptr<services::UserAuth> auth_;
  // Apart from the process's pool, so that a slow database keeps neither names nor passwords
  // waiting. End before what their tasks use.
  net::BlockingPool sql_threads_;
  net::BlockingPool state_thread_{1};
};

}  // namespace heddle::cli
