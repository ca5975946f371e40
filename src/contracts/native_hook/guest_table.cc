#include "contracts/native_hook/guest_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "contracts/native_hook/guest_layout.h"

namespace heddle::native_hook {

using sandbox::GuestPtr;
using sandbox::GuestResult;
using sandbox::GuestSize;

namespace {

constexpr std::size_t kTableBytes = (kSlots + 1) * sizeof(std::uint32_t);
constexpr std::size_t kGuardBytes = 256;  // behind the table: who writes there knows a longer one
constexpr char kUntouched = '\xa5';

sandbox::Limits limits_of(const extension::PluginSpec& spec) {
  sandbox::Limits limits;
  limits.memory = spec.memory_limit;
  limits.timeout = spec.timeout;
  limits.host_calls = spec.host_calls;
  return limits;
}

std::unexpected<Error> failed(const sandbox::Trap& trap) {
  return fail(ErrorKind::kTrap, "failed in " + trap_text(trap));
}

}  // namespace

std::string trap_text(const sandbox::Trap& trap) {
  std::string text = sandbox::to_string(trap);
  std::ranges::replace(text, '\n', ' ');
  return text;
}

GuestTable::GuestTable(std::shared_ptr<const Version> version) : version_(std::move(version)) {
  environment = version_->spec.environment;
}

Result<std::unique_ptr<GuestTable>> GuestTable::start(std::shared_ptr<const Version> version) {
  constexpr std::chrono::seconds kStartTimeout{1};
  std::unique_ptr<GuestTable> out(new GuestTable(std::move(version)));
  const sandbox::Limits limits = limits_of(out->version_->spec);
  sandbox::Limits at_start = limits;
  at_start.timeout = std::max<std::chrono::nanoseconds>(limits.timeout, kStartTimeout);
  auto made = sandbox::Instance::create(out->version_->linked, at_start, out.get(), out.get());
  if (!made) return std::unexpected(std::move(made.error()));
  out->instance_ = std::move(*made);
  out->version_->record->instances(1);
  out->measure_memory();
  if (auto done = out->initialize(); !done) return std::unexpected(std::move(done.error()));
  out->instance_->set_limits(limits);
  return out;
}

Result<void> GuestTable::initialize() {
  if (const auto begin = instance_->function<void()>("_initialize"); begin && *begin) {
    if (const auto done = instance_->call(*begin); !done && instance_->dead())
      return failed(done.error());
  }
  placement_.bind(*instance_);
  const auto init = instance_->function<std::int32_t(GuestPtr)>("qpc_plugin_init");
  if (!init) return std::unexpected(init.error());
  std::string zeroed(kTableBytes, '\0');
  zeroed.append(kGuardBytes, kUntouched);
  const auto address = placement_.place(*instance_, zeroed);
  if (!address) return failed(address.error());
  const auto code = instance_->call(*init, *address);
  if (!code) return failed(code.error());
  if (*code != 0) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("qpc_plugin_init returned {}: the plugin refuses to start; its "
                            "documentation says what the number means",
                            *code));
  }
  if (auto read = read_table(*address); !read) return read;
  if (const auto freed = placement_.release(*instance_, *address, zeroed.size()); !freed)
    return failed(freed.error());
  return {};
}

Result<void> GuestTable::read_table(GuestPtr address) {
  const auto bytes = instance_->memory().view(address, kTableBytes + kGuardBytes);
  if (!bytes) return fail(ErrorKind::kTrap, "the memory of the table is gone");
  std::memcpy(table_.data(), bytes->data(), kTableBytes);
  for (std::size_t i = 0; i < kSlots; ++i) slots_.at(i) = table_.at(i + 1) != 0;
  const auto exports = version_->linked->module().exports();
  const bool has_table = std::ranges::find(exports, sandbox::ExternKind::kTable,
                                           &sandbox::Export::kind) != exports.end();
  if (!has_table && std::ranges::find(slots_, true) != slots_.end()) {
    return fail(ErrorKind::kInvalidArgument,
                "exports no function table, so that its hooks cannot be called; link it with "
                "-Wl,--export-table");
  }
  started_ = true;
  const std::string_view guard = bytes->substr(kTableBytes);
  if (const std::size_t last = guard.find_last_not_of(kUntouched); last != std::string_view::npos) {
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format(
            "wrote {} bytes behind the HookVTable of {} bytes: it is built against "
            "a longer table (build it with this server's qpc_plugin.h), or its malloc took the "
            "same memory (link it with -Wl,--export=malloc,--export=free)",
            last + 1, kTableBytes));
  }
  return {};
}

GuestTable::~GuestTable() {
  if (instance_ == nullptr) return;
  shut_down();
  if (started_ && !dead() && has(slots_, Slot::kDestroy)) {
    static_cast<void>(call(Slot::kDestroy, {}, false));
  }
  version_->record->memory(-memory_bytes_);
  version_->record->instances(-1);
}

void GuestTable::shut_down() {
  if (!started_ || shut_down_ || dead()) return;
  shut_down_ = true;
  if (!has(slots_, Slot::kShutdown)) return;
  if (const auto done = call(Slot::kShutdown, {}, false); !done) {
    version_->record->write(LogLevel::kWarn, "the plugin failed in " + trap_text(done.error()));
  }
}

GuestResult<std::int32_t> GuestTable::call(Slot slot, std::span<const std::int32_t> arguments,
                                           bool has_result) {
  const auto index = static_cast<std::size_t>(slot);
  std::vector<std::int32_t> all{static_cast<std::int32_t>(table_.front())};
  all.insert(all.end(), arguments.begin(), arguments.end());
  // NOLINTNEXTLINE(bugprone-suspicious-stringview-data-usage): literals, which end with NUL
  const char* const name = kSlotNames.at(index).data();
  auto result = instance_->call_indirect(name, table_.at(index + 1), all, has_result);
  const sandbox::CallCost& cost = instance_->last_cost();
  version_->record->call(index, cost.wall.count());
  version_->record->cpu(static_cast<std::uint64_t>(cost.cpu.count()));
  if (cost.denied_memory) version_->record->limit_hit(sandbox::kMemoryLimitName);
  measure_memory();
  return result;
}

void GuestTable::measure_memory() {
  const auto now = static_cast<std::int64_t>(instance_->memory_bytes());
  version_->record->memory(now - std::exchange(memory_bytes_, now));
}

GuestResult<std::optional<std::string>> GuestTable::enqueue(const extension::MessageEvent& event) {
  GuestLayout layout(event);
  const auto address = placement_.reserve(*instance_, layout.size());
  if (!address) return std::unexpected(address.error());
  const std::string& bytes = layout.bytes_at(*address);
  if (const auto room = instance_->memory().span(*address, static_cast<GuestSize>(bytes.size())))
    std::memcpy(room->data(), bytes.data(), bytes.size());
  const auto code = call(Slot::kMessageEnqueue, layout.arguments(), true);
  if (!code) return std::unexpected(code.error());
  std::optional<std::string> out;
  if (*code != 0) {
    auto why = reason();
    if (!why) return std::unexpected(why.error());
    out = std::move(*why);
  }
  if (const auto freed = placement_.release(*instance_, *address, layout.size()); !freed)
    return std::unexpected(freed.error());
  return out;
}

GuestResult<std::string> GuestTable::reason() {
  if (!has(slots_, Slot::kErrorMessage)) return std::string(kNoReason);
  const auto address = call(Slot::kErrorMessage, {}, true);
  if (!address) return std::unexpected(address.error());
  const sandbox::GuestMemory memory = instance_->memory();
  const auto start = static_cast<GuestPtr>(*address);
  if (start == 0 || start >= memory.size()) return std::string(kNoReason);
  const auto room = static_cast<GuestSize>(std::min(memory.size() - start, kMaxReason));
  const std::string_view text = *memory.view(start, room);
  std::string out(text.substr(0, text.find('\0')));
  return out.empty() ? std::string(kNoReason) : out;
}

GuestResult<void> GuestTable::tell(const extension::HookEvent& event) {
  GuestLayout layout(event);
  const auto address = placement_.reserve(*instance_, layout.size());
  if (!address) return std::unexpected(address.error());
  const std::string& bytes = layout.bytes_at(*address);
  if (const auto room = instance_->memory().span(*address, static_cast<GuestSize>(bytes.size())))
    std::memcpy(room->data(), bytes.data(), bytes.size());
  const auto done = call(slot_at(extension::moment_of(event)), layout.arguments(), false);
  if (!done) return std::unexpected(done.error());
  return placement_.release(*instance_, *address, layout.size());
}

void GuestTable::write(sandbox::Instance& /*instance*/, int fd, std::string_view bytes) {
  version_->record->guest_line(fd == 2 ? LogLevel::kWarn : LogLevel::kInfo, bytes);
}

}  // namespace heddle::native_hook
