// The calls of one plugin version on one worker: as many run as may, the others wait in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>

namespace heddle::json_rpc {

class Call;
struct Version;

class Lane {
 public:
  // Runs the call now or later, always as an event of its own. False: the queue is full.
  bool submit(std::shared_ptr<Call> call);
  // A started call that found no free instance: it waits again, in its old place, until one ends.
  void put_back(std::shared_ptr<Call> call);
  bool full(const Version& version) const;
  // A call that was started is over, or one that waits is not wanted any more.
  void leave(const Call& call);

  std::size_t running() const { return running_; }
  std::size_t waiting() const { return queue_.size(); }

 private:
  void enqueue(std::shared_ptr<Call> call);
  std::shared_ptr<Call> take(const Call& call);
  void start_next();

  std::map<std::uint64_t, std::shared_ptr<Call>> queue_;  // by their turns
  std::uint64_t next_turn_ = 0;
  std::size_t running_ = 0;
};

}  // namespace heddle::json_rpc
