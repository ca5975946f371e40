#include "contracts/native_hook/sandboxed.h"

#include <utility>

#include "base/clock.h"
#include "contracts/native_hook/in_process.h"

namespace heddle::native_hook {

using extension::FailurePolicy;
using extension::Verdict;

namespace {
constexpr Nanoseconds kRetry = 1'000'000'000;
}  // namespace

SandboxedPlugin::SandboxedPlugin(std::shared_ptr<const GuestTable::Version> version,
                                 std::unique_ptr<GuestTable> first)
    : version_(std::move(version)),
      file_name_(file_name_of(version_->spec.path)),
      fails_open_(!version_->spec.on_failure_given ||
                  version_->spec.on_failure == FailurePolicy::kOpen),
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
  record.write(
      LogLevel::kError, "plugin failed in " + trap_text(trap),
      LogField("consequence", fails_open_ ? "the message goes on (on_failure: open)"
                                          : "the message is rejected (on_failure: closed)"));
  if (guest_ != nullptr && guest_->dead()) guest_.reset();
}

Verdict SandboxedPlugin::when_failed() const {
  if (fails_open_) return {};
  return {.allowed = false, .reason = "the plugin failed", .plugin = name()};
}

std::optional<Verdict> SandboxedPlugin::ask(extension::HookMoment /*moment*/,
                                            net::Worker& /*worker*/,
                                            const extension::MessageEvent& event,
                                            extension::VerdictReceiver& /*receiver*/) {
  const std::lock_guard lock(mutex_);
  GuestTable* table = guest();
  if (table == nullptr) return when_failed();
  auto reason = table->enqueue(event);
  if (!reason) {
    failed(reason.error());
    return when_failed();
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
