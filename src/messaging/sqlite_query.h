// A prepared statement that is used again and again: bind, step, read columns. One thread at a
// time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "services/sqlite_handle.h"

namespace heddle::messaging {

// Bound as SQL NULL.
struct Null {};
// Bound as a BLOB, where plain strings are TEXT.
struct Blob {
  std::string_view bytes;
};

class Query {
 public:
  Query() = default;
  static Result<Query> prepare(sqlite3* database, std::string_view sql);

  // Starts over with these parameters, which outlive the run.
  template <typename... Values>
  Query& with(Values... values) {
    sqlite3_reset(statement_.get());
    int place = 0;
    (bind(++place, values), ...);
    return *this;
  }
  // Whether there is a row.
  Result<bool> step();
  // For statements without rows.
  Result<void> run();
  // Ends a read early, so that it keeps no snapshot.
  void finish() { sqlite3_reset(statement_.get()); }

  std::uint64_t number(int column) const;
  std::string bytes(int column) const;

 private:
  void bind(int place, Null value);
  void bind(int place, Blob value);
  void bind(int place, std::string_view value);
  void bind(int place, std::int64_t value);
  void bind(int place, std::uint64_t value) { bind(place, static_cast<std::int64_t>(value)); }
  void bind(int place, bool value) { bind(place, static_cast<std::int64_t>(value)); }

  services::SqliteStatement statement_;
};

}  // namespace heddle::messaging
