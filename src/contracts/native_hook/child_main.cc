#include "contracts/native_hook/child_main.h"

#include <signal.h>  // NOLINT(modernize-deprecated-headers): POSIX names
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/clock.h"
#include "contracts/native_hook/child_memory.h"
#include "contracts/native_hook/native_calls.h"
#include "contracts/native_hook/shared_object.h"
#include "contracts/native_hook/wire.h"

namespace heddle::native_hook {
namespace {

constexpr int kBroken = 70;  // the talk with the server cannot go on

class Child {
 public:
  explicit Child(ChildMemory& memory) : calls_(memory.calls), answers_(memory.answers) {}

  int run(std::string_view name) {
    auto object = load(name);
    if (!object) {
      answer({.outcome = ChildOutcome::kRefused, .text = std::move(object.error().message)});
      return 0;
    }
    object_ = std::move(*object);
    native_.emplace(object_->table());
    std::string slots;
    for (const bool filled : object_->slots()) slots += filled ? '1' : '0';
    answer({.outcome = ChildOutcome::kStarted, .text = std::move(slots)});
    return serve();
  }

 private:
  static Result<std::unique_ptr<SharedObject>> load(std::string_view name) {
    struct stat status{};
    if (fstat(kChildPluginFile, &status) != 0) return fail(ErrorKind::kIo, "cannot be read");
    const auto size = static_cast<std::size_t>(status.st_size);
    void* bytes = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, kChildPluginFile, 0);
    if (bytes == MAP_FAILED) return fail(ErrorKind::kIo, "cannot be read");
    auto out = SharedObject::load({static_cast<const std::byte*>(bytes), size}, name);
    munmap(bytes, size);
    return out;
  }

  int serve() {
    std::string record;
    ChildCall call;
    while (true) {
      const auto there = calls_.pop(record);
      if (!there) return kBroken;
      if (!*there) {
        if (calls_.fall_asleep()) calls_.sleep();
        continue;
      }
      if (!read_call(record, call)) return kBroken;
      const Nanoseconds begun = monotonic_now();
      ChildAnswer result = make(call);
      result.id = call.id;
      result.nanoseconds = monotonic_now() - begun;
      answer(result);
      if (call.slot == Slot::kDestroy) return 0;
    }
  }

  ChildAnswer make(const ChildCall& call) {
    try {
      switch (call.slot) {
        case Slot::kMessageEnqueue: {
          auto reason = native_->enqueue(c_event(call.message));
          if (!reason) return {};
          return {.outcome = ChildOutcome::kRejected, .text = std::move(*reason)};
        }
        case Slot::kShutdown:
          object_->shut_down();
          return {};
        case Slot::kDestroy:
          native_.reset();
          object_.reset();
          return {};
        default:
          native_->tell(call.event);
          return {};
      }
    } catch (...) {
      return {.outcome = ChildOutcome::kThrew};
    }
  }

  void answer(const ChildAnswer& answer) {
    const std::string record = write_answer(answer);
    // The server takes answers at once unless it is stopped in a debugger or swapped out.
    while (!answers_.push(record)) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (!answers_.must_wake()) return;
    constexpr std::uint64_t kOne = 1;
    static_cast<void>(write(kChildBell, &kOne, sizeof kOne));
  }

  RingReader calls_;
  RingWriter answers_;
  std::unique_ptr<SharedObject> object_;
  std::optional<NativeCalls> native_;
};

// Signals for the whole group (a terminal, a service manager) are the server's business: it ends
// the child in order. If it cannot, the kernel does.
void tie_to_server() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::signal(signal, SIG_IGN);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
}

void limit_memory(std::string_view text) {
  rlim_t bytes = 0;
  std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (bytes == 0) return;
  const rlimit limit{.rlim_cur = bytes, .rlim_max = bytes};
  setrlimit(RLIMIT_DATA, &limit);
}

}  // namespace

int run_child(int count, char** arguments) {
  constexpr int kArguments = 4;
  if (count != kArguments) return kBroken;
  tie_to_server();
  void* memory =
      mmap(nullptr, sizeof(ChildMemory), PROT_READ | PROT_WRITE, MAP_SHARED, kChildMemoryFile, 0);
  if (memory == MAP_FAILED) return kBroken;
  limit_memory(arguments[3]);
  Child child(*static_cast<ChildMemory*>(memory));
  return child.run(arguments[2]);
}

}  // namespace heddle::native_hook
