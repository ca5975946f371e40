#include "contracts/message_hook/plugin.h"

#include <fmt/format.h>

#include <utility>

#include "base/clock.h"
#include "net/worker.h"

namespace heddle::message_hook {

using extension::HookMoment;
using extension::Verdict;

namespace {

constexpr Nanoseconds kRetry = 1'000'000'000;

}  // namespace

Plugin::Plugin(std::shared_ptr<const Version> version, std::unique_ptr<Guest> first)
    : MessageHookPlugin(version->spec),
      version_(std::move(version)),
      per_worker_(version_->spec.instances == "per_worker") {
  auto seat = std::make_unique<Seat>();
  seat->guest = std::move(first);
  seats_.emplace(0, std::move(seat));
}

Plugin::~Plugin() = default;

Plugin::Seat& Plugin::seat_of(const net::Worker& worker) {
  const std::lock_guard lock(mutex_);
  auto& seat = seats_[per_worker_ ? worker.index() : 0];
  if (seat == nullptr) seat = std::make_unique<Seat>();
  return *seat;
}

Guest* Plugin::guest_of(Seat& seat) {
  if (seat.guest != nullptr) return seat.guest.get();
  const Nanoseconds now = monotonic_now();
  if (now < seat.retry_at) return nullptr;
  auto made = Guest::start(version_);
  if (!made) {
    seat.retry_at = now + kRetry;
    version_->record->error("start", made.error().message);
    version_->record->write(LogLevel::kError,
                            "the plugin cannot be started anew: " + made.error().message);
    return nullptr;
  }
  seat.guest = std::move(*made);
  return seat.guest.get();
}

Result<void> Plugin::start(net::Worker& worker) {
  Seat& seat = seat_of(worker);
  const std::lock_guard lock(seat.mutex);
  if (guest_of(seat) == nullptr) return fail(ErrorKind::kTrap, "cannot be started");
  return {};
}

void Plugin::stop(net::Worker& worker) {
  if (!per_worker_) return;
  Seat& seat = seat_of(worker);
  const std::lock_guard lock(seat.mutex);
  seat.guest.reset();
}

bool Plugin::wants(HookMoment moment) const {
  return (moment == HookMoment::kSend && version_->shape(Callback::kSend) != Shape::kAbsent) ||
         (moment == HookMoment::kSent && version_->shape(Callback::kSent) != Shape::kAbsent);
}

void Plugin::failed(Seat& seat, const sandbox::Trap& trap) {
  extension::PluginRecord& record = *version_->record;
  record.error(sandbox::to_string(trap.reason), trap_text(trap));
  if (const auto limit = sandbox::limit_of(trap.reason)) record.limit_hit(*limit);
  record.write(LogLevel::kError, "plugin failed in " + trap_text(trap),
               LogField("consequence", failure().consequence));
  if (seat.guest != nullptr && seat.guest->dead()) seat.guest.reset();
}

Verdict Plugin::verdict_of(std::int32_t code) {
  if (code == 1) return {.allowed = false, .reason = "blocked by plugin", .plugin = name()};
  if (code != 0) {
    version_->record->write(LogLevel::kWarn,
                            "on_message_send returned neither 0 nor 1; the message goes on",
                            LogField("code", fmt::to_string(code)));
  }
  return {};
}

// The sender chooses the size, so `on_failure` does not decide: a hook cannot be passed by length.
Verdict Plugin::too_large(std::size_t payload) {
  extension::PluginRecord& record = *version_->record;
  record.limit_hit("buffer_limit");
  record.error("buffer_limit",
               fmt::format("a message of {} bytes was larger than buffer_limit ({})", payload,
                           version_->spec.buffer_limit));
  record.write(
      LogLevel::kWarn,
      "a message larger than the plugin's buffer_limit was rejected; raise buffer_limit if "
      "such messages are meant",
      LogField("bytes", fmt::to_string(payload)));
  return {.allowed = false,
          .reason = "the message is larger than the plugin that checks it takes (buffer_limit)",
          .plugin = name()};
}

std::optional<Verdict> Plugin::ask(HookMoment /*moment*/, net::Worker& worker,
                                   const extension::MessageEvent& event,
                                   extension::VerdictReceiver& /*receiver*/) {
  if (event.payload_size > version_->spec.buffer_limit) return too_large(event.payload_size);
  Seat& seat = seat_of(worker);
  const std::lock_guard lock(seat.mutex);
  Guest* guest = guest_of(seat);
  if (guest == nullptr) return failure().verdict;
  const auto code = guest->message_send(event.json());
  if (code) return verdict_of(*code);
  failed(seat, code.error());
  return failure().verdict;
}

void Plugin::tell(net::Worker& worker, const extension::HookEvent& event) {
  const auto* sent = std::get_if<extension::SentEvent>(&event);
  if (sent == nullptr) return;
  Seat& seat = seat_of(worker);
  const std::lock_guard lock(seat.mutex);
  Guest* guest = guest_of(seat);
  if (guest == nullptr) return;
  if (const auto done = guest->message_sent(sent->message_id); !done) failed(seat, done.error());
}

}  // namespace heddle::message_hook
