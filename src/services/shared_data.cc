#include "services/shared_data.h"

#include <fmt/format.h>

#include <functional>
#include <limits>
#include <utility>

namespace heddle::services {
namespace {

std::size_t cost(std::size_t key, std::size_t value) {
  return key + value + SharedData::kEntryBytes;
}

}  // namespace

SharedData::SharedData(std::size_t namespace_limit) : namespace_limit_(namespace_limit) {}

// Keys of one namespace are spread over all shards, so that plugins with the same vm_id (usually
// none) do not queue up behind one mutex.
SharedData::Shard& SharedData::shard(std::string_view space, std::string_view key) {
  const std::hash<std::string_view> hash;
  return shards_.at((hash(space) * 31 + hash(key)) % kShards);
}

void SharedData::touch(Space& space, Entry& entry) {
  entry.used = monotonic_now();
  space.order.splice(space.order.begin(), space.order, entry.place);
}

std::optional<SharedData::Value> SharedData::get(std::string_view space, std::string_view key) {
  Shard& shard = this->shard(space, key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.spaces.find(space);
  if (found == shard.spaces.end()) return std::nullopt;
  const auto entry = found->second.values.find(key);
  if (entry == found->second.values.end()) return std::nullopt;
  touch(found->second, entry->second);
  return entry->second.value;
}

SharedData::Space& SharedData::space_in(Shard& shard, std::string_view name) {
  const auto found = shard.spaces.find(name);
  if (found != shard.spaces.end()) return found->second;
  Space space;
  {
    const std::lock_guard lock(totals_mutex_);
    auto& total = totals_[std::string(name)];
    if (total == nullptr) total = std::make_shared<std::atomic<std::size_t>>(0);
    space.total = total;
  }
  return shard.spaces.emplace(std::string(name), std::move(space)).first->second;
}

Result<std::size_t> SharedData::set(std::string_view space, std::string_view key,
                                    std::string_view value, std::uint32_t cas) {
  const std::size_t after = cost(key.size(), value.size());
  if (after > namespace_limit_) {
    return fail(ErrorKind::kLimit,
                fmt::format("a value of {} bytes is more than all shared data of a vm_id may be "
                            "({} bytes)",
                            value.size(), namespace_limit_));
  }
  std::shared_ptr<std::atomic<std::size_t>> total;
  {
    Shard& shard = this->shard(space, key);
    const std::lock_guard lock(shard.mutex);
    Space& target = space_in(shard, space);
    auto entry = target.values.find(key);
    const bool exists = entry != target.values.end();
    if (exists && cas != 0 && cas != entry->second.value.cas) {
      return fail(ErrorKind::kConflict, "the value was changed by somebody else");
    }
    const std::size_t before = exists ? cost(key.size(), entry->second.value.bytes.size()) : 0;
    target.bytes += after - before;  // wraps around when it shrinks, and back
    target.total->fetch_add(after - before);
    if (!exists) {
      entry = target.values.emplace(std::string(key), Entry{}).first;
      entry->second.place = target.order.insert(target.order.begin(), &*entry);
    }
    touch(target, entry->second);
    Value& stored = entry->second.value;
    stored.bytes.assign(value);
    do {
      stored.cas = next_cas_.fetch_add(1, std::memory_order_relaxed);
    } while (stored.cas == 0);  // 0 means "whatever is stored"
    total = target.total;
  }
  return make_room(space, *total);
}

// Locks one shard at a time, so what several threads do at once may be over the limit for a moment,
// and evict a key more than needed.
std::size_t SharedData::make_room(std::string_view space, const std::atomic<std::size_t>& total) {
  std::size_t evicted = 0;
  while (total.load() > namespace_limit_ && evict_oldest(space)) ++evicted;
  return evicted;
}

bool SharedData::evict_oldest(std::string_view space) {
  Shard* oldest = nullptr;
  Nanoseconds oldest_use = std::numeric_limits<Nanoseconds>::max();
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    const auto found = shard.spaces.find(space);
    if (found == shard.spaces.end() || found->second.order.empty()) continue;
    const Nanoseconds used = found->second.order.back()->second.used;
    if (used >= oldest_use) continue;
    oldest = &shard;
    oldest_use = used;
  }
  if (oldest == nullptr) return false;
  const std::lock_guard lock(oldest->mutex);
  const auto found = oldest->spaces.find(space);
  if (found == oldest->spaces.end() || found->second.order.empty()) return true;  // look again
  Space& target = found->second;
  const Node& node = *target.order.back();
  const std::size_t bytes = cost(node.first.size(), node.second.value.bytes.size());
  target.order.pop_back();
  target.values.erase(target.values.find(node.first));
  target.bytes -= bytes;
  target.total->fetch_sub(bytes);
  return true;
}

void SharedData::erase(std::string_view space) {
  for (Shard& shard : shards_) {
    const std::lock_guard lock(shard.mutex);
    if (const auto found = shard.spaces.find(space); found != shard.spaces.end()) {
      found->second.total->fetch_sub(found->second.bytes);
      shard.spaces.erase(found);
    }
  }
}

}  // namespace heddle::services
