#include "contracts/native_hook/sandboxed.h"

#include <utility>

#include "base/clock.h"

namespace heddle::native_hook {

using extension::Verdict;

namespace {
constexpr Nanoseconds kRetry = 1'000'000'000;
}  // namespace

SandboxedPlugin::SandboxedPlugin(std::shared_ptr<const GuestTable::Version> version,
                                 std::unique_ptr<GuestTable> first)
    : MessageHookPlugin(version->spec),
      version_(std::move(version)),
      slots_(first->slots()),
      guest_(std::move(first)) {}

GuestTable* SandboxedPlugin::guest() {
  if (guest_ != nullptr) return guest_.get();
  const Nanoseconds now = monotonic_now();
  if (now < retry_at_) return nullptr;
  auto made = GuestTable::start(version_);
  if (!made) {
    retry_at_ = now + kRetry;
    version_->record->error("start", made.error().message);
    version_->record->write(LogLevel::kError,
                            "the plugin cannot be started anew: " + made.error().message);
    return nullptr;
  }
  guest_ = std::move(*made);
  return guest_.get();
}

void SandboxedPlugin::failed(const sandbox::Trap& trap) {
  extension::PluginRecord& record = *version_->record;
  record.error(sandbox::to_string(trap.reason), trap_text(trap));
  if (const auto limit = sandbox::limit_of(trap.reason)) record.limit_hit(*limit);
  record.write(LogLevel::kError, "plugin failed in " + trap_text(trap),
               LogField("consequence", failure().consequence));
  if (guest_ != nullptr && guest_->dead()) guest_.reset();
}

std::optional<Verdict> SandboxedPlugin::ask(extension::HookMoment /*moment*/,
                                            net::Worker& /*worker*/,
                                            const extension::MessageEvent& event,
                                            extension::VerdictReceiver& /*receiver*/) {
  const std::lock_guard lock(mutex_);
  GuestTable* table = guest();
  if (table == nullptr) return failure().verdict;
  auto reason = table->enqueue(event);
  if (!reason) {
    failed(reason.error());
    return failure().verdict;
  }
  if (!*reason) return Verdict{};
  return Verdict{.allowed = false, .reason = std::move(**reason), .plugin = name()};
}

void SandboxedPlugin::tell(net::Worker& /*worker*/, const extension::HookEvent& event) {
  const std::lock_guard lock(mutex_);
  GuestTable* table = guest();
  if (table == nullptr) return;
  if (const auto done = table->tell(event); !done) failed(done.error());
}

void SandboxedPlugin::shut_down() {
  const std::lock_guard lock(mutex_);
  if (guest_ != nullptr) guest_->shut_down();
}

}  // namespace heddle::native_hook
