#include "contracts/native_hook/in_process.h"

#include <exception>
#include <utility>

#include "net/worker.h"

namespace heddle::native_hook {

using extension::HookMoment;
using extension::Verdict;

namespace {

// Of calls that no worker makes.
constexpr std::size_t kOwnPlace = WatchedCalls::kPlaces - 1;

// One second, as the contract's table of limits says; `timeout:` is for what can be stopped.
constexpr std::chrono::seconds kStall{1};

// Reading the clock costs more than such a call: of each worker the first kAllTimed are timed, then
// one in kOneIn, which stands for the others.
constexpr std::uint64_t kAllTimed = 1'000;
constexpr std::uint64_t kOneIn = 16;

std::uint64_t stands_for(std::uint64_t number) {
  if (number <= kAllTimed) return 1;
  return number % kOneIn == 0 ? kOneIn : 0;
}

}  // namespace

// Measures and watches one call, to its end.
class InProcessPlugin::Call {
 public:
  Call(InProcessPlugin& plugin, Slot slot, std::size_t place)
      : plugin_(plugin),
        slot_(slot),
        place_(place),
        stands_for_(stands_for(plugin.watched_->begin(place))) {
    if (stands_for_ != 0) begun_ = plugin.clock_.now();
  }
  ~Call() {
    plugin_.watched_->end(place_);
    const auto index = static_cast<std::size_t>(slot_);
    if (stands_for_ == 0) {
      plugin_.record_->count(index);
    } else {
      plugin_.record_->call(index, plugin_.clock_.nanoseconds(plugin_.clock_.now() - begun_),
                            stands_for_);
    }
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  InProcessPlugin& plugin_;
  Slot slot_;
  std::size_t place_;
  std::uint64_t stands_for_;  // 0: it is not timed
  std::uint64_t begun_ = 0;
};

InProcessPlugin::InProcessPlugin(const extension::PluginSpec& spec,
                                 std::unique_ptr<SharedObject> object,
                                 std::shared_ptr<extension::PluginRecord> record,
                                 const sandbox::CycleClock& clock, Watchdog& watchdog)
    : MessageHookPlugin(spec),
      object_(std::move(object)),
      calls_(object_->table()),
      record_(std::move(record)),
      clock_(clock),
      watched_(std::make_shared<WatchedCalls>(record_, spec.name, kStall)) {
  record_->instances(1);
  watchdog.watch(watched_);
}

InProcessPlugin::~InProcessPlugin() {
  record_->instances(-1);
  shut_down();
  const Call call(*this, Slot::kDestroy, kOwnPlace);
  object_.reset();
}

std::optional<Verdict> InProcessPlugin::ask(HookMoment /*moment*/, net::Worker& worker,
                                            const extension::MessageEvent& event,
                                            extension::VerdictReceiver& /*receiver*/) {
  const Call call(*this, Slot::kMessageEnqueue, worker.index());
  try {
    auto reason = calls_.enqueue(c_event(event));
    if (!reason) return Verdict{};
    return Verdict{.allowed = false, .reason = std::move(*reason), .plugin = name()};
  } catch (...) {
    record_->error("exception", "on_message_enqueue threw an exception");
    record_->write(LogLevel::kError, "a native plugin threw an exception through its C interface");
    return failure().verdict;
  }
}

void InProcessPlugin::tell(net::Worker& worker, const extension::HookEvent& event) {
  const Call call(*this, slot_at(extension::moment_of(event)), worker.index());
  try {
    calls_.tell(event);
  } catch (...) {
    record_->error("exception", "a hook threw an exception");
    record_->write(LogLevel::kError, "a native plugin threw an exception through its C interface");
  }
}

void InProcessPlugin::shut_down() {
  const std::lock_guard lock(shut_down_mutex_);
  const Call call(*this, Slot::kShutdown, kOwnPlace);
  object_->shut_down();
}

}  // namespace heddle::native_hook
