// A plugin compiled to wasm32: an instance that has filled its HookVTable, whose slots are indices
// into the table that it exports. The structs of the ABI have pointers of four bytes here. Belongs
// to one thread at a time; the plugin locks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "contracts/native_hook/slots.h"
#include "extension/message_hook.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
#include "sandbox/guest_placement.h"
#include "sandbox/instance.h"

namespace heddle::native_hook {

class GuestTable final : public sandbox::WasiHost {
 public:
  struct Version {
    extension::PluginSpec spec;
    std::shared_ptr<const sandbox::LinkedModule> linked;
    std::shared_ptr<extension::PluginRecord> record;
  };

  // Instantiates, then _initialize and qpc_plugin_init. The error says which of them failed and
  // how, or what is missing.
  static Result<std::unique_ptr<GuestTable>> start(std::shared_ptr<const Version> version);
  // on_shutdown unless it was called, and destroy, unless it has trapped.
  ~GuestTable() override;
  GuestTable(const GuestTable&) = delete;
  GuestTable& operator=(const GuestTable&) = delete;

  const SlotSet& slots() const { return slots_; }
  bool dead() const { return instance_->dead(); }

  // Nothing: the message may go on. Otherwise why not.
  sandbox::GuestResult<std::optional<std::string>> enqueue(const extension::MessageEvent& event);
  // Calls the slot of the event, which must be filled.
  sandbox::GuestResult<void> tell(const extension::HookEvent& event);
  void shut_down();

  void write(sandbox::Instance& instance, int fd, std::string_view bytes) override;

 private:
  static constexpr std::size_t kFields = kSlots + 1;  // user_data before the slots

  explicit GuestTable(std::shared_ptr<const Version> version);
  Result<void> initialize();
  Result<void> read_table(sandbox::GuestPtr address);
  // Calls a slot with user_data and these arguments.
  sandbox::GuestResult<std::int32_t> call(Slot slot, std::span<const std::int32_t> arguments,
                                          bool has_result);
  sandbox::GuestResult<std::string> reason();
  void measure_memory();

  std::shared_ptr<const Version> version_;
  std::unique_ptr<sandbox::Instance> instance_;
  sandbox::GuestPlacement placement_;
  std::array<std::uint32_t, kFields> table_{};
  SlotSet slots_{};
  std::int64_t memory_bytes_ = 0;
  bool started_ = false;
  bool shut_down_ = false;
};

// "on_message_enqueue: unreachable (…)", one line.
std::string trap_text(const sandbox::Trap& trap);

}  // namespace heddle::native_hook
