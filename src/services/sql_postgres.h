// SQL of plugins in PostgreSQL: each plugin has a role and a schema of its own (postgres_roles.h).
// Every worker has its own connections, at most `connections` for a plugin, which run on its event
// loop; they are opened on the blocking pool. While the database cannot be reached calls fail at
// once, and a new attempt is made after a pause that grows to two seconds.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>

#include "services/postgres_roles.h"
#include "services/sql.h"

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

struct PostgresOptions {
  PostgresRoleOptions roles;
  std::size_t connections = 4;  // of a plugin, per worker
  std::chrono::milliseconds idle_timeout{60'000};
  SqlLimits limits;
};

// `pool` is only this service's, so that a database that does not answer keeps nobody else waiting;
// it outlives this and ends before the workers.
std::unique_ptr<Sql> make_postgres_sql(PostgresOptions options, net::BlockingPool& pool);

}  // namespace heddle::services
