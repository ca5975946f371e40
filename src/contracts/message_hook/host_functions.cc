// What a plugin may import. Two dialects of logging are in use: `env.ourchat_log` of the guide,
// where a bad address is told and forgiven, and `ourchat.log` of the first server, where it traps.
#include <array>
#include <optional>

#include "contracts/message_hook/guest.h"

namespace heddle::message_hook {
namespace {

using sandbox::GuestPtr;
using sandbox::GuestSize;
using sandbox::Instance;

constexpr std::array kLevels = {LogLevel::kTrace, LogLevel::kDebug, LogLevel::kInfo,
                                LogLevel::kWarn, LogLevel::kError};

LogLevel level_of(std::uint32_t level) {
  return level < kLevels.size() ? kLevels.at(level) : LogLevel::kInfo;
}

bool log(Instance& instance, std::uint32_t level, GuestPtr text, GuestSize size) {
  const auto view = instance.memory().view(text, size);
  if (view) instance.user<Guest>().record().guest_line(level_of(level), *view);
  return view.has_value();
}

void ourchat_log(Instance& instance, std::uint32_t level, GuestPtr text, GuestSize size) {
  if (log(instance, level, text, size)) return;
  instance.user<Guest>().record().guest_line(LogLevel::kWarn,
                                             "ourchat_log with an address outside of the memory");
}

void ourchat_module_log(Instance& instance, std::uint32_t level, GuestPtr text, GuestSize size) {
  if (log(instance, level, text, size)) return;
  instance.raise(sandbox::TrapReason::kOutOfBounds,
                 "ourchat.log with an address outside of the memory");
}

// Has no result, in the real system too; the key is checked as it would be there.
void get_config(Instance& instance, GuestPtr key, GuestSize size) {
  if (instance.memory().view(key, size)) return;
  instance.raise(sandbox::TrapReason::kOutOfBounds,
                 "ourchat.get_config with an address outside of the memory");
}

constexpr std::array kTable = {
    sandbox::host_function<&ourchat_log>("env", "ourchat_log"),
    sandbox::host_function<&ourchat_module_log>("ourchat", "log"),
    sandbox::host_function<&get_config>("ourchat", "get_config"),
};

}  // namespace

std::span<const sandbox::HostFunction> host_functions() {
  return kTable;
}

}  // namespace heddle::message_hook
