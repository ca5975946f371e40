#include "services/shared_queue.h"

#include <fmt/format.h>

namespace heddle::services {

Result<std::uint32_t> SharedQueues::register_queue(std::string_view space, std::string_view name,
                                                   std::weak_ptr<QueueListener> listener) {
  const std::lock_guard lock(mutex_);
  auto names = ids_.find(space);
  if (names == ids_.end()) names = ids_.try_emplace(std::string(space)).first;
  auto found = names->second.find(name);
  if (found == names->second.end()) {
    if (names->second.size() >= limits_.queues_per_space) {
      return fail(ErrorKind::kLimit, fmt::format("vm_id \"{}\" has {} shared queues already", space,
                                                 limits_.queues_per_space));
    }
    queues_.push_back(std::make_unique<Queue>());
    found =
        names->second.emplace(std::string(name), static_cast<std::uint32_t>(queues_.size())).first;
  }
  Queue& queue = *queues_[found->second - 1];
  const std::lock_guard queue_lock(queue.mutex);
  queue.listener = std::move(listener);
  return found->second;
}

std::optional<std::uint32_t> SharedQueues::resolve(std::string_view space,
                                                   std::string_view name) const {
  const std::lock_guard lock(mutex_);
  const auto names = ids_.find(space);
  if (names == ids_.end()) return std::nullopt;
  const auto found = names->second.find(name);
  if (found == names->second.end()) return std::nullopt;
  return found->second;
}

SharedQueues::Queue* SharedQueues::find(std::uint32_t queue) const {
  const std::lock_guard lock(mutex_);
  return queue >= 1 && queue <= queues_.size() ? queues_[queue - 1].get() : nullptr;
}

Result<std::size_t> SharedQueues::enqueue(std::uint32_t id, std::string_view item) {
  Queue* queue = find(id);
  if (queue == nullptr) return fail(ErrorKind::kNotFound, fmt::format("no shared queue {}", id));
  if (item.size() > limits_.bytes) {
    return fail(ErrorKind::kLimit,
                fmt::format("an item of {} bytes is larger than a shared queue", item.size()));
  }
  std::size_t dropped = 0;
  std::shared_ptr<QueueListener> listener;
  {
    const std::lock_guard lock(queue->mutex);
    while (queue->items.size() >= limits_.items || queue->bytes + item.size() > limits_.bytes) {
      queue->bytes -= queue->items.front().size();
      queue->items.pop_front();
      ++dropped;
    }
    queue->items.emplace_back(item);
    queue->bytes += item.size();
    listener = queue->listener.lock();
  }
  if (listener != nullptr) listener->on_item(id);
  return dropped;
}

Result<std::optional<std::string>> SharedQueues::dequeue(std::uint32_t id) {
  Queue* queue = find(id);
  if (queue == nullptr) return fail(ErrorKind::kNotFound, fmt::format("no shared queue {}", id));
  const std::lock_guard lock(queue->mutex);
  if (queue->items.empty()) return std::optional<std::string>();
  std::optional<std::string> item(std::move(queue->items.front()));
  queue->items.pop_front();
  queue->bytes -= item->size();
  return item;
}

}  // namespace heddle::services
