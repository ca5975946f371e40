// First-in-first-out queues that plugins share across workers and plugins, by (vm_id, name).
// Proxy-Wasm specification: shared queues; behaviour of reference/proxy-wasm.md section 8. Any
// thread.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace heddle::services {

// Who registered a queue and wants to hear of its items.
class QueueListener {
 public:
  virtual ~QueueListener() = default;
  // An item was added to the queue. Called on the thread that added it: post, do not work.
  virtual void on_item(std::uint32_t queue) = 0;
};

class SharedQueues {
 public:
  struct Limits {
    std::size_t queues_per_space = 1000;
    std::size_t items = 10'000;  // of one queue; beyond it the oldest item goes
    std::size_t bytes = std::size_t{16} * 1024 * 1024;  // the same, by size
  };

  SharedQueues() = default;
  explicit SharedQueues(const Limits& limits) : limits_(limits) {}

  // The queue's id, 1 or more; the same name gives the same queue with what it holds, and
  // `listener` replaces the one before it. kLimit: too many queues.
  Result<std::uint32_t> register_queue(std::string_view space, std::string_view name,
                                       std::weak_ptr<QueueListener> listener);
  std::optional<std::uint32_t> resolve(std::string_view space, std::string_view name) const;

  // Tells the listener, once for every item. Returns how many old items had to go. kNotFound: no
  // such queue. kLimit: the item alone is too large.
  Result<std::size_t> enqueue(std::uint32_t queue, std::string_view item);
  // Nothing: the queue is empty. kNotFound: no such queue.
  Result<std::optional<std::string>> dequeue(std::uint32_t queue);

 private:
  struct Queue {
    std::mutex mutex;
    std::weak_ptr<QueueListener> listener;
    std::deque<std::string> items;
    std::size_t bytes = 0;
  };
  Queue* find(std::uint32_t queue) const;

  Limits limits_;
  mutable std::mutex mutex_;  // of the two tables; a queue has its own
  std::map<std::string, std::map<std::string, std::uint32_t, std::less<>>, std::less<>> ids_;
  std::vector<std::unique_ptr<Queue>> queues_;  // by id - 1; they live as long as this
};

}  // namespace heddle::services
