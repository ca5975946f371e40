// The order of enqueues to each recipient within this process: a lane gives one number at a time,
// and the next when that one was stored or given back.
//
// Storing only hands the message to the writing thread, so that many messages to one recipient
// share a transaction. The writing thread refuses a number that does not follow the last one on the
// disk; after such a failure the lane reads its number from there again.
//
// Where several processes give numbers of one recipient, a lane does so in turns: a turn begins
// with the last number on the disk and ends when nothing waits, or when it was long enough, and
// what it gave is stored or given back. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "messaging/storage.h"

namespace heddle::messaging {

class Lanes : public std::enable_shared_from_this<Lanes> {
 public:
  // What is called first of `store` is done first.
  struct Store {
    // Tells the recipient's last number, and not before this time. With `end_turn` nobody else
    // gives numbers of the recipient until that is called.
    std::function<void(std::string recipient_key, Nanoseconds not_before, Reply<std::uint64_t>)>
        begin_turn;
    std::function<void(NewMessage, std::uint64_t seq, Reply<Receipt>)> store;
    // Only takes note. Null: all numbers are this process's; then `begin_turn` answers behind every
    // `store` before it.
    std::function<void(const std::string& recipient_key)> end_turn;
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
    bool in_turn = false;
    std::size_t storing = 0;
    Nanoseconds turn_until = 0;
    Nanoseconds rest_until = 0;  // others go first
    std::deque<Reply<std::unique_ptr<Reservation>>> waiting;
    bool idle() const { return !held && !loading && !in_turn && storing == 0 && waiting.empty(); }
  };

  void go_on(const std::string& recipient_key);
  void end_turn_if_due(const std::string& recipient_key, Lane& lane);
  void loaded(const std::string& recipient_key, Result<std::uint64_t> last);
  void leave(const std::string& recipient_key, std::uint64_t generation, std::uint64_t next);
  void begin_store(const std::string& recipient_key);
  void stored(const std::string& recipient_key, std::uint64_t generation, bool as_expected);
  void forget_idle();

  Store store_;
  std::mutex mutex_;
  std::unordered_map<std::string, Lane> lanes_;  // guarded by mutex_
};

}  // namespace heddle::messaging
