// Guests that wait. A suspendable instance runs on a stack of its own, so a host function may leave
// its guest in the middle of a call while the thread goes on with other work, and a guest that only
// computes gives way every few milliseconds. No thread waits and nothing polls.
//
//   // A host function is a row of the same tables as every other (host_function.h):
//   std::int32_t sleep_ms(Instance& instance, std::uint32_t ms) {
//     Sleep sleep(instance.user<Call>().timers(), ms);   // a sandbox::Wait
//     if (!instance.wait(sleep)) return 0;               // cancelled, or a trap is raised: return
//     return instance.memory().store(…) ? 0 : -1;        // views of before the wait are stale
//   }
//
//   auto made = Instance::create_suspendable(linked, limits, user, wasi, loop);
//   (*made)->start_async([&](Result<void> started) { … });
//   (*made)->call_async(run, [&](GuestResult<std::int32_t> result) { … }, 1, 2);
//
// Destroying the instance cancels what it does: the guest's frames are unwound, wait() returns
// false, no callback comes any more. A caller's timer that destroys it is what ends wall time; CPU
// time is ended by Limits::cpu. One instance does one call at a time.
#pragma once

#include <functional>

namespace heddle::sandbox {

// The event loop of the thread, as the sandbox needs it. It outlives the instances that were given
// it.
class Loop {
 public:
  virtual ~Loop() = default;
  // Runs `task` on this thread, from the loop itself, after what is queued already; never from
  // within.
  virtual void post(std::move_only_function<void()> task) = 0;
};

// What a host function waits for: a local object of the host function, so it lives on the guest's
// stack and is destroyed there when the host function returns, also when the call is cancelled.
// Its destructor must take back what start() set in motion.
class Wait {
 public:
  // To be called once, on the instance's thread, from within start() or from an event of its own:
  // the guest goes on inside this call, and may end with the instance's owner destroying it. Calls
  // that come too late (the instance is gone, the wait is over) do nothing.
  using Resume = std::move_only_function<void()>;

  virtual ~Wait() = default;
  // Runs on the thread's own stack once the guest is suspended. The place for work that needs
  // stack: the guest's has 512 KiB for host functions.
  virtual void start(Resume resume) = 0;
};

}  // namespace heddle::sandbox
