// Durable key-value data of plugins: what `state_*` of route plugins and `kv.*` of json_rpc plugins
// reach. Each plugin has keys of its own. In a file (key_value_sqlite.h) or in Redis
// (key_value_redis.h).
//
// A call is made on a worker and answered there, as an event of its own. A `set` that was answered
// is on disk (in Redis: as durable as that server is set up).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/pending_call.h"

namespace heddle::services {

struct KeyValueLimits {
  std::size_t max_key_bytes = 512;
  std::size_t max_value_bytes = std::size_t{1} << 20U;
  std::size_t max_plugin_bytes = std::size_t{64} << 20U;  // keys and values of one plugin
  std::size_t max_listed = 1'000;                         // keys in one answer
};

class KeyValue {
 public:
  using Value = std::optional<std::string>;
  using Keys = std::vector<std::string>;
  struct Done {};

  virtual ~KeyValue() = default;
  // Errors: kInvalidArgument (empty key), kLimit (which one), kUnavailable, kIo, kTimeout.
  [[nodiscard]] virtual Pending get(net::Worker& worker, std::string plugin, std::string key,
                                    Completion<Value>::Callback done) = 0;
  [[nodiscard]] virtual Pending set(net::Worker& worker, std::string plugin, std::string key,
                                    std::string value, Completion<Done>::Callback done) = 0;
  // True: it was there.
  [[nodiscard]] virtual Pending remove(net::Worker& worker, std::string plugin, std::string key,
                                       Completion<bool>::Callback done) = 0;
  // The keys that begin with `prefix` and come after `after`, in order; at most `count`, and at
  // most max_listed.
  [[nodiscard]] virtual Pending list(net::Worker& worker, std::string plugin, std::string prefix,
                                     std::string after, std::size_t count,
                                     Completion<Keys>::Callback done) = 0;
  // Everything of one plugin (it was removed for good, or its state is to be reset).
  [[nodiscard]] virtual Pending clear(net::Worker& worker, std::string plugin,
                                      Completion<Done>::Callback done) = 0;
};

}  // namespace heddle::services
