// One instance of a message_hook plugin: its exports, what it imports, and its life from
// on_plugin_load to on_plugin_unload. Belongs to one thread at a time; the plugin locks.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "contracts/message_hook/version.h"
#include "sandbox/guest_placement.h"
#include "sandbox/instance.h"

namespace heddle::message_hook {

class Guest final : public sandbox::WasiHost {
 public:
  // Instantiates, then _initialize, on_plugin_load and on_plugin_enable. The error says which of
  // them failed and how.
  static Result<std::unique_ptr<Guest>> start(std::shared_ptr<const Version> version);
  // on_plugin_disable and on_plugin_unload, unless it has trapped.
  ~Guest() override;
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;

  // What on_message_send returned.
  sandbox::GuestResult<std::int32_t> message_send(std::string_view json);
  sandbox::GuestResult<void> message_sent(std::uint64_t id);
  // After a trap nothing may be called any more.
  bool dead() const { return instance_->dead(); }

  extension::PluginRecord& record() const { return *version_->record; }
  void write(sandbox::Instance& instance, int fd, std::string_view bytes) override;

 private:
  explicit Guest(std::shared_ptr<const Version> version);
  using Handler = sandbox::GuestFunction<std::int32_t(sandbox::GuestPtr, sandbox::GuestSize)>;

  Result<void> begin();
  void bind();
  sandbox::GuestResult<std::int32_t> life_cycle(Callback callback);
  sandbox::GuestResult<std::int32_t> call_with(Callback callback, std::string_view bytes);
  void measure_memory();
  template <typename Call>
  auto measured(Callback callback, Call call);

  std::shared_ptr<const Version> version_;
  std::unique_ptr<sandbox::Instance> instance_;
  sandbox::GuestPlacement placement_;
  Handler send_;
  Handler sent_;
  sandbox::GuestFunction<void(sandbox::GuestPtr, sandbox::GuestSize)> sent_without_result_;
  std::int64_t memory_bytes_ = 0;
  bool loaded_ = false;
};

// env.ourchat_log, ourchat.log and ourchat.get_config.
std::span<const sandbox::HostFunction> host_functions();

// "on_message_send: unreachable (…)", one line.
std::string trap_text(const sandbox::Trap& trap);

}  // namespace heddle::message_hook
