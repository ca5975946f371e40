// The calls of one plugin version on one worker: as many run as may, the others wait in order.
#pragma once

#include <cstddef>
#include <list>
#include <memory>
#include <unordered_map>

namespace heddle::json_rpc {

class Call;

class Lane {
 public:
  // Runs the call now or later, always as an event of its own. False: the queue is full.
  bool submit(std::shared_ptr<Call> call);
  // A started call that found no free instance: it waits again, as the first, until one ends.
  void put_back(std::shared_ptr<Call> call);
  // A call that was started is over, or one that waits is not wanted any more.
  void leave(const Call& call);

  std::size_t running() const { return running_; }
  std::size_t waiting() const { return queue_.size(); }

 private:
  using Queue = std::list<std::shared_ptr<Call>>;

  void enqueue(std::shared_ptr<Call> call, Queue::const_iterator before);
  std::shared_ptr<Call> take(const Call& call);
  void start_next();

  Queue queue_;
  std::unordered_map<const Call*, Queue::iterator> places_;
  std::size_t running_ = 0;
};

}  // namespace heddle::json_rpc
