#include "services/shared_data.h"

#include <fmt/format.h>

#include <functional>
#include <utility>

namespace heddle::services {

SharedData::SharedData(std::size_t namespace_limit) : namespace_limit_(namespace_limit) {}

// Keys of one namespace are spread over all shards, so that plugins with the same vm_id (usually
// none) do not queue up behind one mutex.
SharedData::Shard& SharedData::shard(std::string_view space, std::string_view key) const {
  const std::hash<std::string_view> hash;
  return shards_.at((hash(space) * 31 + hash(key)) % kShards);
}

std::optional<SharedData::Value> SharedData::get(std::string_view space,
                                                 std::string_view key) const {
  const Shard& shard = this->shard(space, key);
  const std::lock_guard lock(shard.mutex);
  const auto found = shard.spaces.find(space);
  if (found == shard.spaces.end()) return std::nullopt;
  const auto value = found->second.values.find(key);
  if (value == found->second.values.end()) return std::nullopt;
  return value->second;
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

Result<void> SharedData::set(std::string_view space, std::string_view key, std::string_view value,
                             std::uint32_t cas) {
  Shard& shard = this->shard(space, key);
  const std::lock_guard lock(shard.mutex);
  Space& target = space_in(shard, space);
  auto entry = target.values.find(key);
  const bool exists = entry != target.values.end();
  if (exists && cas != 0 && cas != entry->second.cas) {
    return fail(ErrorKind::kConflict, "the value was changed by somebody else");
  }
  const std::size_t before = exists ? key.size() + entry->second.bytes.size() : 0;
  const std::size_t after = key.size() + value.size();
  if (after > before && target.total->load() + (after - before) > namespace_limit_) {
    return fail(ErrorKind::kLimit, fmt::format("shared data of vm_id \"{}\" is full ({} bytes)",
                                               space, namespace_limit_));
  }
  target.bytes += after - before;  // wraps around when it shrinks, and back
  target.total->fetch_add(after - before);
  if (!exists) entry = target.values.emplace(std::string(key), Value{}).first;
  entry->second.bytes.assign(value);
  do {
    entry->second.cas = next_cas_.fetch_add(1, std::memory_order_relaxed);
  } while (entry->second.cas == 0);  // 0 means "whatever is stored"
  return {};
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
