// The SQLite file of KeyValue: plain calls inside a transaction that the caller begins and ends.
// One thread at a time.
#pragma once

#include <cstdint>
#include <string>

#include "services/key_value.h"
#include "services/sqlite_handle.h"

namespace heddle::services {

class KeyValueStore {
 public:
  static Result<std::unique_ptr<KeyValueStore>> open(const std::string& path,
                                                     const KeyValueLimits& limits);

  Result<void> begin();
  Result<void> commit();
  void roll_back();

  Result<KeyValue::Value> get(const std::string& plugin, const std::string& key);
  Result<KeyValue::Done> set(const std::string& plugin, const std::string& key,
                             const std::string& value);
  Result<bool> remove(const std::string& plugin, const std::string& key);
  Result<KeyValue::Keys> list(const std::string& plugin, const std::string& prefix,
                              const std::string& after, std::size_t count);
  Result<KeyValue::Done> clear(const std::string& plugin);

 private:
  KeyValueStore(SqliteDatabase database, const KeyValueLimits& limits)
      : limits_(limits), database_(std::move(database)) {}
  Result<std::int64_t> size_of(const std::string& plugin, const std::string& key);  // -1: none
  Result<std::int64_t> used_by(const std::string& plugin);
  Result<void> add_used(const std::string& plugin, std::int64_t bytes);

  const KeyValueLimits limits_;
  SqliteDatabase database_;
};

}  // namespace heddle::services
