// A loaded message_hook plugin. One instance serves all workers, one call after the other, because
// the guide's plugins keep what they know in globals; with `instances: per_worker` each worker has
// its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string_view>

#include "contracts/message_hook/guest.h"
#include "contracts/message_hook/version.h"
#include "extension/message_hook_plugin.h"

namespace heddle::message_hook {

class Plugin final : public extension::MessageHookPlugin {
 public:
  // `first`: the instance that was started to try the version.
  Plugin(std::shared_ptr<const Version> version, std::unique_ptr<Guest> first);
  ~Plugin() override;

  std::string_view kind() const override { return "message_hook"; }
  Result<void> start(net::Worker& worker) override;
  void stop(net::Worker& worker) override;
  extension::PluginStats stats() const override { return version_->record->stats(); }

  bool wants(extension::HookMoment moment) const override;
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
  bool answers_at_once() const override { return true; }
  void tell(net::Worker& worker, const extension::HookEvent& event) override;

 private:
  // An instance and the lock of whoever calls it.
  struct Seat {
    std::mutex mutex;
    std::unique_ptr<Guest> guest;
    std::int64_t retry_at = 0;  // monotonic; after a start that failed
  };

  Seat& seat_of(const net::Worker& worker);
  // Null: it cannot be started now. Under the seat's mutex.
  Guest* guest_of(Seat& seat);
  void failed(Seat& seat, const sandbox::Trap& trap);
  extension::Verdict verdict_of(std::int32_t code);
  extension::Verdict too_large(std::size_t payload);

  std::shared_ptr<const Version> version_;
  bool per_worker_;
  std::mutex mutex_;  // of the map
  std::map<std::size_t, std::unique_ptr<Seat>> seats_;
};

}  // namespace heddle::message_hook
