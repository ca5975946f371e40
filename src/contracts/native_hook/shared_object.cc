#include "contracts/native_hook/shared_object.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "contracts/native_hook/elf_check.h"
#include "contracts/native_hook/memory_file.h"

namespace heddle::native_hook {
namespace {

constexpr const char* kInit = "qpc_plugin_init";

// The linker's words without the name of the copy.
std::string linker_error(const std::string& copy) {
  const char* text = dlerror();
  std::string out = text == nullptr ? "unknown reason" : text;
  if (const std::size_t at = out.find(copy + ": "); at != std::string::npos) {
    out.erase(at, copy.size() + 2);
  }
  return out;
}

// The table with room behind it, where a plugin that knows a longer one leaves traces.
struct GuardedTable {
  static constexpr std::byte kUntouched{0xa5};
  HookVTable table{};
  std::array<std::byte, 512> guard;

  GuardedTable() { guard.fill(kUntouched); }
  std::size_t overrun() const {
    const auto last = std::ranges::find_if(guard.rbegin(), guard.rend(),
                                           [](std::byte each) { return each != kUntouched; });
    return static_cast<std::size_t>(guard.rend() - last);
  }
};

}  // namespace

Result<std::unique_ptr<SharedObject>> SharedObject::load(std::span<const std::byte> file,
                                                         std::string_view name) {
  if (auto fits = check_shared_object(file); !fits) return std::unexpected(std::move(fits.error()));
  auto copy = make_memory_file(name, file);
  if (!copy) return std::unexpected(copy.error());
  std::unique_ptr<SharedObject> out(new SharedObject);
  out->copy_ = std::move(*copy);
  const std::string path = out->path();
  out->handle_ = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (out->handle_ == nullptr) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("cannot be linked: {}; install what it needs, or link it statically",
                            linker_error(path)));
  }
  if (auto started = out->initialize(); !started) {
    return std::unexpected(std::move(started.error()));
  }
  return out;
}

std::string SharedObject::path() const {
  return fmt::format("/proc/self/fd/{}", copy_.get());
}

Result<void> SharedObject::initialize() {
  void* symbol = dlsym(handle_, kInit);
  if (symbol == nullptr) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("exports no {0}; a native_hook plugin is a shared object with "
                            "`int32_t {0}(HookVTable *)` (include/heddle/abi/qpc_plugin.h)",
                            kInit));
  }
  GuardedTable guarded;
  const std::int32_t code = reinterpret_cast<decltype(&qpc_plugin_init)>(symbol)(&guarded.table);
  if (code != PLUGIN_OK) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("{} returned {}: the plugin refuses to start; its documentation says "
                            "what the number means",
                            kInit, code));
  }
  table_ = guarded.table;
  fill_slots();
  started_ = true;
  if (const std::size_t beyond = guarded.overrun(); beyond > 0) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("wrote {} bytes behind the HookVTable of {} bytes: it is built against "
                            "a longer table; build it with this server's qpc_plugin.h",
                            beyond, sizeof(HookVTable)));
  }
  return {};
}

void SharedObject::fill_slots() {
  const auto set = [this](Slot slot, bool filled) {
    slots_[static_cast<std::size_t>(slot)] = filled;
  };
  set(Slot::kMessageEnqueue, table_.on_message_enqueue != nullptr);
  set(Slot::kBatchEnqueue, table_.on_batch_enqueue != nullptr);
  set(Slot::kAuth, table_.on_auth != nullptr);
  set(Slot::kChannelCreated, table_.on_channel_created != nullptr);
  set(Slot::kFetch, table_.on_fetch != nullptr);
  set(Slot::kUserRegistered, table_.on_user_registered != nullptr);
  set(Slot::kErrorMessage, table_.error_message != nullptr);
  set(Slot::kDestroy, table_.destroy != nullptr);
  set(Slot::kShutdown, table_.on_shutdown != nullptr);
}

void SharedObject::shut_down() {
  if (!started_ || shut_down_) return;
  shut_down_ = true;
  if (table_.on_shutdown != nullptr) table_.on_shutdown(table_.user_data);
}

SharedObject::~SharedObject() {
  shut_down();
  if (started_ && table_.destroy != nullptr) table_.destroy(table_.user_data);
  if (handle_ == nullptr) return;
  dlclose(handle_);
  // What does not let itself be unloaded (thread-local objects, unique symbols, -z nodelete) keeps
  // its name: the number of its descriptor must never name another library.
  if (void* stays = dlopen(path().c_str(), RTLD_NOW | RTLD_NOLOAD); stays != nullptr) {
    dlclose(stays);
    [[maybe_unused]] const int kept = copy_.release();
  }
}

}  // namespace heddle::native_hook
