#include "services/sql_postgres.h"

#include <map>
#include <utility>

#include "net/worker.h"
#include "services/postgres_pool.h"

namespace heddle::services {
namespace {

// What one worker keeps.
struct WorkerPools final : net::Worker::Local {
  std::map<std::string, std::shared_ptr<PostgresPool>> by_plugin;
};

class PostgresSql final : public Sql {
 public:
  PostgresSql(PostgresOptions options, net::BlockingPool& pool)
      : shared_(std::make_shared<PostgresPool::Shared>(std::move(options), pool)) {}

  Pending run(net::Worker& worker, SqlRequest request, Callback done) override {
    std::shared_ptr<PostgresPool>& pool = pools(worker).by_plugin[request.plugin];
    if (!pool) pool = std::make_shared<PostgresPool>(shared_, worker, request.plugin);
    return pool->run(std::move(request), std::move(done));
  }

 private:
  WorkerPools& pools(net::Worker& worker) const {
    if (auto* found = worker.find_local(key_)) return static_cast<WorkerPools&>(*found);
    auto made = std::make_unique<WorkerPools>();
    WorkerPools& out = *made;
    worker.keep_local(key_, std::move(made));
    return out;
  }

  const std::shared_ptr<PostgresPool::Shared> shared_;
  const net::Worker::LocalKey key_ = net::Worker::new_local_key();
};

}  // namespace

std::unique_ptr<Sql> make_postgres_sql(PostgresOptions options, net::BlockingPool& pool) {
  return std::make_unique<PostgresSql>(std::move(options), pool);
}

}  // namespace heddle::services
