// A loaded message_hook plugin. One instance serves all workers, one call after the other, because
// the guide's plugins keep what they know in globals; with `instances: per_worker` each worker has
// its own.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "contracts/message_hook/guest.h"
#include "contracts/message_hook/version.h"
#include "extension/message_hook.h"

namespace heddle::message_hook {

class Plugin final : public extension::LoadedPlugin,
                     public extension::MessageHook,
                     public std::enable_shared_from_this<Plugin> {
 public:
  // `first`: the instance that was started to try the version.
  Plugin(std::shared_ptr<const Version> version, std::unique_ptr<Guest> first);
  ~Plugin() override;

  std::string_view kind() const override { return "message_hook"; }
  Result<void> start(net::Worker& worker) override;
  void stop(net::Worker& worker) override;
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<extension::MessageHook> message_hook() override { return shared_from_this(); }
  extension::PluginStats stats() const override { return version_->record->stats(); }

  const std::string& name() const override { return version_->spec.name; }
  const std::string& file_name() const override { return file_name_; }
  bool wants(extension::HookMoment moment) const override;
  std::optional<extension::Verdict> ask(extension::HookMoment moment, net::Worker& worker,
                                        const extension::MessageEvent& event,
                                        extension::VerdictReceiver& receiver) override;
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
  extension::Verdict when_failed() const;
  extension::Verdict verdict_of(std::int32_t code);

  std::shared_ptr<const Version> version_;
  std::string file_name_;
  bool per_worker_;
  bool fails_open_;
  std::mutex mutex_;  // of the map
  std::map<std::size_t, std::unique_ptr<Seat>> seats_;
};

}  // namespace heddle::message_hook
