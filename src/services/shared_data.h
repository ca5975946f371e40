// Key-value data that plugins share across workers and plugins, by namespace (a vm_id), with
// compare-and-swap. Proxy-Wasm specification: shared data; behaviour of reference/proxy-wasm.md
// section 8. Any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "base/result.h"

namespace heddle::services {

class SharedData {
 public:
  struct Value {
    std::string bytes;
    std::uint32_t cas = 0;  // never 0
  };
  // What one namespace may hold: keys, values, and kEntryBytes for each entry, which bounds the
  // memory that many small ones take.
  static constexpr std::size_t kDefaultNamespaceLimit = std::size_t{64} << 20U;
  static constexpr std::size_t kEntryBytes = 160;

  explicit SharedData(std::size_t namespace_limit = kDefaultNamespaceLimit);

  // Counts as a use of the key.
  std::optional<Value> get(std::string_view space, std::string_view key);
  // `cas` 0: whatever is stored; otherwise it must equal the stored number (ignored when the key is
  // absent). A namespace that is full loses the keys that were not used for longest; returns how
  // many. kConflict: somebody was faster. kLimit: larger than the whole namespace.
  Result<std::size_t> set(std::string_view space, std::string_view key, std::string_view value,
                          std::uint32_t cas);
  // The namespace's last user is gone.
  void erase(std::string_view space);

 private:
  static constexpr std::size_t kShards = 16;
  // Looks keys up without making a string of them.
  struct KeyHash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  struct Entry;
  using Node = std::pair<const std::string, Entry>;
  using Order = std::list<Node*>;
  struct Entry {
    Value value;
    Nanoseconds used = 0;
    Order::iterator place;
  };
  struct Space {
    std::unordered_map<std::string, Entry, KeyHash, std::equal_to<>> values;
    Order order;                                      // the last used first
    std::size_t bytes = 0;                            // of this part
    std::shared_ptr<std::atomic<std::size_t>> total;  // of the namespace in all shards
  };
  struct Shard {
    std::mutex mutex;
    std::map<std::string, Space, std::less<>> spaces;
  };
  Shard& shard(std::string_view space, std::string_view key);
  Space& space_in(Shard& shard, std::string_view name);
  static void touch(Space& space, Entry& entry);
  std::size_t make_room(std::string_view space, const std::atomic<std::size_t>& total);
  bool evict_oldest(std::string_view space);

  std::size_t namespace_limit_;
  std::array<Shard, kShards> shards_;
  std::mutex totals_mutex_;
  std::map<std::string, std::shared_ptr<std::atomic<std::size_t>>, std::less<>> totals_;
  std::atomic<std::uint32_t> next_cas_{1};
};

}  // namespace heddle::services
