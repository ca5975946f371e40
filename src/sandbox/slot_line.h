// Who waits for an instance of Instance::create_suspendable() while all of them are in use. Nobody
// polls: an instance that goes wakes the one who waits longest, and those who keep instances that
// do nothing are asked to end one for each who comes to wait.
//
//   const auto seen = line.given_back();      // before the attempt
//   … create_suspendable() fails with kLimit …
//   place_ = line.queue(seen, [] { worker.post(… place_->use(); try again …); });
//
// Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace heddle::sandbox {

class SlotLine {
 public:
  // Destroying it leaves the line. One that was woken and has no use for the slot after all wakes
  // the next.
  class Place {
   public:
    Place(SlotLine& line, std::move_only_function<void()> wake)
        : line_(line), wake_(std::move(wake)) {}
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    void use() { used_ = true; }

   private:
    friend class SlotLine;
    SlotLine& line_;
    std::move_only_function<void()> wake_;
    bool woken_ = false;  // guarded by the line's mutex
    bool used_ = false;   // the owner's
  };

  // Whoever keeps instances for later. `ask` is called when one of them is wanted; it must do no
  // more than post. The line outlives the keeper.
  class Keeper {
   public:
    Keeper(SlotLine& line, std::move_only_function<void()> ask);
    ~Keeper();
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;
    // How many it keeps now. Then it looks whether somebody waits() for one.
    void keeps(std::size_t count) { kept_ = count; }

   private:
    friend class SlotLine;
    SlotLine& line_;
    std::move_only_function<void()> ask_;
    std::atomic<std::size_t> kept_ = 0;
  };

  // How many slots were given back so far.
  std::uint64_t given_back() const { return given_back_.load(); }
  void give_back();
  // `wake` is called once, by whoever gives a slot back, or from within when that has happened
  // since `seen`; it must do no more than post. The line outlives the place.
  std::unique_ptr<Place> queue(std::uint64_t seen, std::move_only_function<void()> wake);
  // Whether the one who waits longest has another place than `mine` (null: none).
  bool another_waits(const Place* mine);
  // Asks one of the keepers, if any keeps something.
  void ask_a_keeper();

 private:
  void leave(Place& place);
  void wake_next();
  void ask_locked();

  std::atomic<std::uint64_t> given_back_ = 0;
  std::atomic<std::size_t> waiting_ = 0;
  std::mutex mutex_;
  std::deque<Place*> places_;    // guarded by mutex_
  std::deque<Keeper*> keepers_;  // guarded by mutex_; who was asked last is at the end
};

}  // namespace heddle::sandbox
