#include "contracts/message_hook/guest.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <utility>

namespace heddle::message_hook {

using sandbox::GuestResult;

namespace {

sandbox::Limits limits_of(const extension::PluginSpec& spec) {
  sandbox::Limits limits;
  limits.memory = spec.memory_limit;
  limits.timeout = spec.timeout;
  limits.host_calls = spec.host_calls;
  return limits;
}

// A start may take longer than a message.
sandbox::Limits start_limits_of(const extension::PluginSpec& spec) {
  constexpr std::chrono::seconds kStartTimeout{1};
  sandbox::Limits limits = limits_of(spec);
  limits.timeout = std::max<std::chrono::nanoseconds>(limits.timeout, kStartTimeout);
  return limits;
}

}  // namespace

std::string trap_text(const sandbox::Trap& trap) {
  std::string text = sandbox::to_string(trap);
  if (!trap.backtrace.empty()) {
    text += "; in " + trap.backtrace.substr(0, trap.backtrace.find('\n'));
  }
  std::ranges::replace(text, '\n', ' ');
  return text;
}

Guest::Guest(std::shared_ptr<const Version> version) : version_(std::move(version)) {
  environment = version_->spec.environment;
}

Result<std::unique_ptr<Guest>> Guest::start(std::shared_ptr<const Version> version) {
  std::unique_ptr<Guest> out(new Guest(std::move(version)));
  auto made = sandbox::Instance::create(out->version_->linked, start_limits_of(out->version_->spec),
                                        out.get(), out.get());
  if (!made) return std::unexpected(std::move(made.error()));
  out->instance_ = std::move(*made);
  out->record().instances(1);
  out->measure_memory();
  if (auto begun = out->begin(); !begun) return std::unexpected(std::move(begun.error()));
  out->instance_->set_limits(limits_of(out->version_->spec));
  return out;
}

Result<void> Guest::begin() {
  if (const auto initialize = instance_->function<void()>("_initialize");
      initialize && *initialize) {
    if (const auto done = instance_->call(*initialize); !done && instance_->dead()) {
      return fail(ErrorKind::kTrap, "failed in " + trap_text(done.error()));
    }
  }
  placement_.bind(*instance_);
  bind();
  for (const Callback callback : {Callback::kLoad, Callback::kEnable}) {
    const auto code = life_cycle(callback);
    if (!code) return fail(ErrorKind::kTrap, "failed in " + trap_text(code.error()));
    if (*code != 0 && callback == Callback::kLoad) {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("on_plugin_load returned {}: the plugin refuses to start; its log "
                              "lines may say why",
                              *code));
    }
    if (*code != 0) {
      record().write(LogLevel::kWarn, "on_plugin_enable did not return 0",
                     LogField("code", fmt::to_string(*code)));
    }
    if (callback == Callback::kLoad) loaded_ = true;
  }
  return {};
}

// The types were checked when the version was made.
void Guest::bind() {
  if (version_->shape(Callback::kSend) != Shape::kAbsent) {
    send_ = *instance_->function<std::int32_t(sandbox::GuestPtr, sandbox::GuestSize)>(
        to_string(Callback::kSend));
  }
  const std::string_view sent = to_string(Callback::kSent);
  if (version_->shape(Callback::kSent) == Shape::kBytesResult) {
    sent_ = *instance_->function<std::int32_t(sandbox::GuestPtr, sandbox::GuestSize)>(sent);
  } else if (version_->shape(Callback::kSent) == Shape::kBytes) {
    sent_without_result_ = *instance_->function<void(sandbox::GuestPtr, sandbox::GuestSize)>(sent);
  }
}

Guest::~Guest() {
  if (instance_ == nullptr) return;
  for (const Callback callback : {Callback::kDisable, Callback::kUnload}) {
    if (!loaded_ || instance_->dead()) break;
    if (const auto ended = life_cycle(callback); !ended) {
      record().write(LogLevel::kWarn, "the plugin failed in " + trap_text(ended.error()));
    }
  }
  record().memory(-memory_bytes_);
  record().instances(-1);
}

void Guest::measure_memory() {
  const auto now = static_cast<std::int64_t>(instance_->memory_bytes());
  record().memory(now - std::exchange(memory_bytes_, now));
}

template <typename Call>
auto Guest::measured(Callback callback, Call call) {
  auto result = call();
  const sandbox::CallCost& cost = instance_->last_cost();
  record().call(static_cast<std::size_t>(callback), cost.wall.count());
  record().cpu(static_cast<std::uint64_t>(cost.cpu.count()));
  if (cost.denied_memory) record().limit_hit(sandbox::kMemoryLimitName);
  measure_memory();
  return result;
}

GuestResult<std::int32_t> Guest::life_cycle(Callback callback) {
  const Shape shape = version_->shape(callback);
  if (shape == Shape::kAbsent) return 0;
  const std::string_view name = to_string(callback);
  return measured(callback, [&]() -> GuestResult<std::int32_t> {
    if (shape == Shape::kBytesResult) {
      return instance_->call(*instance_->function<std::int32_t(std::int32_t, std::int32_t)>(name),
                             0, 0);
    }
    if (shape == Shape::kResult) return instance_->call(*instance_->function<std::int32_t()>(name));
    const auto done = instance_->call(*instance_->function<void()>(name));
    if (!done) return std::unexpected(done.error());
    return 0;
  });
}

GuestResult<std::int32_t> Guest::call_with(Callback callback, std::string_view bytes) {
  return measured(callback, [&]() -> GuestResult<std::int32_t> {
    const auto address = placement_.place(*instance_, bytes);
    if (!address) return std::unexpected(address.error());
    const auto size = static_cast<sandbox::GuestSize>(bytes.size());
    std::int32_t code = 0;
    if (const Handler& handler = callback == Callback::kSend ? send_ : sent_) {
      const auto result = instance_->call(handler, *address, size);
      if (!result) return result;
      code = *result;
    } else if (const auto done = instance_->call(sent_without_result_, *address, size); !done) {
      return std::unexpected(done.error());
    }
    if (const auto freed = placement_.release(*instance_, *address, bytes.size()); !freed)
      return std::unexpected(freed.error());
    return code;
  });
}

GuestResult<std::int32_t> Guest::message_send(std::string_view json) {
  return call_with(Callback::kSend, json);
}

GuestResult<void> Guest::message_sent(std::uint64_t id) {
  static_assert(std::endian::native == std::endian::little);
  std::array<char, sizeof id> bytes;
  std::memcpy(bytes.data(), &id, sizeof id);
  const auto done = call_with(Callback::kSent, {bytes.data(), bytes.size()});
  if (!done) return std::unexpected(done.error());
  return {};
}

void Guest::write(sandbox::Instance& /*instance*/, int fd, std::string_view bytes) {
  record().guest_line(fd == 2 ? LogLevel::kWarn : LogLevel::kInfo, bytes);
}

}  // namespace heddle::message_hook
