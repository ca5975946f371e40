// SQL of plugins in SQLite: a file for each plugin, `<directory>/<plugin>.db`, in WAL mode, written
// through to the disk at every change. Statements run on the blocking pool, at most `connections`
// of one plugin at a time, so that one plugin cannot keep the threads from the others.
//
// What a statement may not do: sqlite_guard.h. A statement that takes too long, or whose caller is
// gone, is interrupted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "services/sql.h"

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

struct SqliteOptions {
  // NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
  std::string directory = {};
  std::uint64_t max_file_bytes = std::uint64_t{256} << 20U;  // of one plugin's database
  std::size_t connections = 2;                               // of one plugin
  SqlLimits limits = {};
  // NOLINTEND(readability-redundant-member-init)
};

// `pool` runs what was submitted before it goes, and outlives this.
std::unique_ptr<Sql> make_sqlite_sql(SqliteOptions options, net::BlockingPool& pool);

// A plugin's name as a file name: characters other than letters, digits, `-` and `_` as %XX.
std::string plugin_file_name(std::string_view plugin);

}  // namespace heddle::services
