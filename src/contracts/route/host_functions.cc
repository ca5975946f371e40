#include "contracts/route/host_functions.h"

#include <algorithm>
#include <optional>

#include "base/log.h"
#include "contracts/route/guest_placement.h"
#include "contracts/route/host_services.h"
#include "contracts/route/runtime.h"
#include "services/crypto.h"
#include "services/event_bus.h"

namespace heddle::route {
namespace {

using sandbox::GuestPtr;
using sandbox::GuestSize;
using sandbox::host_function;
using sandbox::Instance;

constexpr std::int32_t kDone = 1;
constexpr std::int32_t kFailed = 0;

void log_line(Instance& instance, LogLevel level, GuestPtr text, GuestSize size) {
  const auto line = guest_text(instance, text, size);
  if (!line) return;
  const HostContext& host = instance.user<HostContext>();
  host.runtime->record().guest_line(level, *line, host.request_id);
}

void log_info(Instance& instance, GuestPtr text, GuestSize size) {
  log_line(instance, LogLevel::kInfo, text, size);
}
void log_warn(Instance& instance, GuestPtr text, GuestSize size) {
  log_line(instance, LogLevel::kWarn, text, size);
}
void log_error(Instance& instance, GuestPtr text, GuestSize size) {
  log_line(instance, LogLevel::kError, text, size);
}
void log_debug(Instance& instance, GuestPtr text, GuestSize size) {
  log_line(instance, LogLevel::kDebug, text, size);
}

void log_at(Instance& instance, std::uint32_t level, GuestPtr text, GuestSize size) {
  constexpr LogLevel kLevels[] = {LogLevel::kError, LogLevel::kWarn, LogLevel::kInfo,
                                  LogLevel::kDebug, LogLevel::kTrace};
  log_line(instance, kLevels[std::min<std::uint32_t>(level, 4)], text, size);
}

GuestPtr give(Instance& instance, std::string_view text) {
  return instance.user<HostContext>().placement->put_result(instance, text).value_or(0);
}

GuestPtr get_config(Instance& instance, GuestPtr key, GuestSize size) {
  const auto name = guest_text(instance, key, size);
  if (!name) return 0;
  const std::string* value = instance.user<HostContext>().runtime->config(*name);
  return value == nullptr ? 0 : give(instance, *value);
}

GuestPtr crypto_hash(Instance& instance, std::uint32_t number, GuestPtr bytes, GuestSize size) {
  const auto algorithm = services::hash_algorithm(number);
  const auto text = guest_text(instance, bytes, size);
  if (!algorithm || !text) return 0;
  return give(instance, services::hex_of(services::crypto_hash(*algorithm, *text)));
}

GuestPtr crypto_random(Instance& instance, GuestSize count) {
  const auto bytes = services::crypto_random(count);
  return bytes ? give(instance, *bytes) : 0;
}

std::int32_t emit_event(Instance& instance, GuestPtr event, GuestSize event_size, GuestPtr payload,
                        GuestSize payload_size) {
  const auto name = guest_text(instance, event, event_size);
  const auto text = guest_text(instance, payload, payload_size);
  if (!name || !text) return kFailed;
  const HostContext& host = instance.user<HostContext>();
  Runtime& runtime = *host.runtime;
  services::EventBus* const events = runtime.services().events;
  if (events == nullptr || !runtime.spec().permit_events) {
    runtime.record().guest_line(LogLevel::kWarn, "emit_event is not permitted (permissions.events)",
                                host.request_id);
    return kFailed;
  }
  const auto emitted = events->emit(runtime.spec().name, *name, *text);
  if (emitted) return kDone;
  runtime.record().guest_line(LogLevel::kWarn, "emit_event: " + emitted.error().message,
                              host.request_id);
  return kFailed;
}

// What AssemblyScript calls before it gives up; texts are UTF-16 behind a length in bytes.
void assembly_script_abort(Instance& instance, GuestPtr message, GuestPtr /*file*/,
                           std::uint32_t line, std::uint32_t column) {
  std::string text;
  const auto memory = instance.memory();
  const auto bytes = message >= 4 ? memory.load<std::uint32_t>(message - 4) : std::nullopt;
  const auto units = bytes ? memory.view(message, std::min(*bytes, 1000U)) : std::nullopt;
  for (std::size_t i = 0; units && i + 1 < units->size(); i += 2) {
    const char c = (*units)[i];
    text += (*units)[i + 1] == 0 && c >= 0x20 && c < 0x7F ? c : '?';
  }
  instance.raise(sandbox::TrapReason::kUnreachable, "abort: " + text + " (line " +
                                                        std::to_string(line) + ", column " +
                                                        std::to_string(column) + ")");
}

constexpr std::string_view kEnv = "env";
constexpr sandbox::HostFunction kTable[] = {
    host_function<&log_info>(kEnv, "log_info"),
    host_function<&log_warn>(kEnv, "log_warn"),
    host_function<&log_error>(kEnv, "log_error"),
    host_function<&log_debug>(kEnv, "log_debug"),
    host_function<&log_at>(kEnv, "log"),
    host_function<&get_config>(kEnv, "get_config"),
    host_function<&crypto_hash>(kEnv, "crypto_hash"),
    host_function<&crypto_random>(kEnv, "crypto_random"),
    host_function<&emit_event>(kEnv, "emit_event"),
    host_function<&assembly_script_abort>(kEnv, "abort"),
    // These wait; of two of a name the first is the seed's.
    host_function<&db_query>(kEnv, "db_query"),
    host_function<&db_query_bound>(kEnv, "db_query"),
    host_function<&db_execute>(kEnv, "db_execute"),
    host_function<&db_execute_bound>(kEnv, "db_execute"),
    host_function<&http_request>(kEnv, "http_request"),
    host_function<&http_request_with_headers>(kEnv, "http_request"),
    host_function<&state_get>(kEnv, "state_get"),
    host_function<&state_set>(kEnv, "state_set"),
    host_function<&state_remove>(kEnv, "state_remove"),
};

}  // namespace

std::vector<sandbox::HostFunction> host_functions(const sandbox::Module& module) {
  std::vector<sandbox::HostFunction> out;
  for (const sandbox::Import& import : module.imports()) {
    const sandbox::HostFunction* chosen = nullptr;
    for (const sandbox::HostFunction& row : kTable) {
      if (row.module != import.module || row.name != import.name) continue;
      if (chosen == nullptr || row.type() == import.type) chosen = &row;
    }
    if (chosen != nullptr) out.push_back(*chosen);
  }
  return out;
}

bool offers_host_function(std::string_view module, std::string_view name) {
  const auto is_it = [&](const sandbox::HostFunction& row) {
    return row.module == module && row.name == name;
  };
  return std::ranges::any_of(kTable, is_it) ||
         std::ranges::any_of(sandbox::wasi_functions(), is_it);
}

}  // namespace heddle::route
