// Key-value data that plugins share across workers and plugins, by namespace (a vm_id), with
// compare-and-swap. Proxy-Wasm specification: shared data; behaviour of reference/proxy-wasm.md
// section 8. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"

namespace heddle::services {

class SharedData {
 public:
  struct Value {
    std::string bytes;
    std::uint32_t cas = 0;  // never 0
  };
  // Bytes of keys and values in one namespace above which set() is refused.
  static constexpr std::size_t kDefaultNamespaceLimit = std::size_t{64} << 20U;

  explicit SharedData(std::size_t namespace_limit = kDefaultNamespaceLimit);

  std::optional<Value> get(std::string_view space, std::string_view key) const;
  // `cas` 0: whatever is stored; otherwise it must equal the stored number (ignored when the key is
  // absent). kConflict: somebody was faster. kLimit: the namespace is full.
  Result<void> set(std::string_view space, std::string_view key, std::string_view value,
                   std::uint32_t cas);
  // The namespace's last user is gone.
  void erase(std::string_view space);

 private:
  static constexpr std::size_t kShards = 16;
  // Looks keys up without making a string of them.
  struct KeyHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Space {
    std::unordered_map<std::string, Value, KeyHash, std::equal_to<>> values;
    std::size_t bytes = 0;                            // of this part
    std::shared_ptr<std::atomic<std::size_t>> total;  // of the namespace in all shards
  };
  struct Shard {
    mutable std::mutex mutex;
    std::map<std::string, Space, std::less<>> spaces;
  };
  Shard& shard(std::string_view space, std::string_view key) const;
  Space& space_in(Shard& shard, std::string_view name);

  std::size_t namespace_limit_;
  mutable std::array<Shard, kShards> shards_;
  std::mutex totals_mutex_;
  std::map<std::string, std::shared_ptr<std::atomic<std::size_t>>, std::less<>> totals_;
  std::atomic<std::uint32_t> next_cas_{1};
};

}  // namespace heddle::services
