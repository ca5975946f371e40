// The order of enqueues to each recipient within this process: a lane gives one number at a time,
// and the next when that one was stored or given back.
//
// Storing only hands the message to the writing thread, so that many messages to one recipient
// share a transaction. The writing thread refuses a number that does not follow the last one on the
// disk; after such a failure the lane reads its number from there again, behind everything that is
// on its way. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "messaging/storage.h"

namespace heddle::messaging {

class Lanes : public std::enable_shared_from_this<Lanes> {
 public:
  // Both as Storage's, in one queue: what is called first is done first.
  struct Store {
    std::function<void(std::string recipient_key, Reply<std::uint64_t>)> last_seq;
    std::function<void(NewMessage, std::uint64_t seq, Reply<Receipt>)> store;
  };
  explicit Lanes(Store store) : store_(std::move(store)) {}

  void reserve(std::string recipient_key, Reply<std::unique_ptr<Reservation>> done);

 private:
  class Place;
  struct Lane {
    std::optional<std::uint64_t> next;  // nothing: to be read from the storage
    std::uint64_t generation = 0;       // grows when numbers that were given turned out wrong
    bool held = false;
    bool loading = false;
    std::deque<Reply<std::unique_ptr<Reservation>>> waiting;
    bool idle() const { return !held && !loading && waiting.empty(); }
  };

  void go_on(const std::string& recipient_key);
  void loaded(const std::string& recipient_key, Result<std::uint64_t> last);
  void leave(const std::string& recipient_key, std::uint64_t generation, std::uint64_t next);
  void distrust(const std::string& recipient_key, std::uint64_t generation);
  void forget_idle();

  Store store_;
  std::mutex mutex_;
  std::unordered_map<std::string, Lane> lanes_;  // guarded by mutex_
};

}  // namespace heddle::messaging
