// The SQL that contracts call: checks permission and sizes, counts, and names the plugin in every
// error; the database behind it does the rest.
#pragma once

#include <memory>

#include "services/service_metrics.h"
#include "services/sql.h"

namespace heddle::services {

class SqlService final : public Sql {
 public:
  // `metrics` outlives the calls.
  SqlService(std::unique_ptr<Sql> database, const SqlLimits& limits, ServiceMetrics& metrics)
      : database_(std::move(database)), limits_(limits), metrics_(metrics) {}

  Pending run(net::Worker& worker, SqlRequest request, Callback done) override;

 private:
  Result<void> check(const SqlRequest& request) const;

  const std::unique_ptr<Sql> database_;
  const SqlLimits limits_;
  ServiceMetrics& metrics_;
};

}  // namespace heddle::services
