#include "sandbox/wasi.h"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <string>

#include "base/clock.h"
#include "sandbox/instance.h"
#include "sandbox/wasi_poll.h"

namespace heddle::sandbox {
namespace wasi {
namespace {

constexpr std::uint8_t kCharacterDevice = 2;
constexpr std::uint64_t kRightRead = 1U << 1U;
constexpr std::uint64_t kRightWrite = 1U << 6U;

bool is_stdio(std::int32_t fd) {
  return fd >= 0 && fd <= 2;
}
Errno ok_or_fault(bool ok) {
  return ok ? kSuccess : kFault;
}

// A call that Heddle has not got; what it says depends on whether the descriptor exists.
template <Errno OnStdio, typename... Rest>
std::int32_t refuse_fd(Instance& /*instance*/, std::int32_t fd, Rest... /*arguments*/) {
  return is_stdio(fd) ? OnStdio : kBadFd;
}
template <Errno Answer, typename... Arguments>
std::int32_t refuse(Instance& /*instance*/, Arguments... /*arguments*/) {
  return Answer;
}

// Arguments and environment: a list of pointers, and the strings that they point to, each ended by
// a zero.

std::int32_t list_sizes(Instance& instance, std::span<const std::string> list, GuestPtr count,
                        GuestPtr bytes) {
  std::uint32_t total = 0;
  for (const std::string& item : list) total += static_cast<std::uint32_t>(item.size() + 1);
  const GuestMemory memory = instance.memory();
  return ok_or_fault(memory.store(count, static_cast<std::uint32_t>(list.size())) &&
                     memory.store(bytes, total));
}

std::int32_t list_get(Instance& instance, std::span<const std::string> list, GuestPtr pointers,
                      GuestPtr buffer) {
  const GuestMemory memory = instance.memory();
  for (const std::string& item : list) {
    const auto size = static_cast<GuestSize>(item.size() + 1);
    const auto target = memory.span(buffer, size);
    if (!target || !memory.store(pointers, buffer)) return kFault;
    std::copy_n(item.c_str(), size, target->begin());
    pointers += sizeof(GuestPtr);
    buffer += size;
  }
  return kSuccess;
}

std::span<const std::string> arguments_of(const Instance& instance) {
  return instance.wasi() == nullptr ? std::span<const std::string>() : instance.wasi()->arguments;
}
std::span<const std::string> environment_of(const Instance& instance) {
  return instance.wasi() == nullptr ? std::span<const std::string>() : instance.wasi()->environment;
}

std::int32_t args_sizes_get(Instance& instance, GuestPtr count, GuestPtr bytes) {
  return list_sizes(instance, arguments_of(instance), count, bytes);
}
std::int32_t args_get(Instance& instance, GuestPtr pointers, GuestPtr buffer) {
  return list_get(instance, arguments_of(instance), pointers, buffer);
}
std::int32_t environ_sizes_get(Instance& instance, GuestPtr count, GuestPtr bytes) {
  return list_sizes(instance, environment_of(instance), count, bytes);
}
std::int32_t environ_get(Instance& instance, GuestPtr pointers, GuestPtr buffer) {
  return list_get(instance, environment_of(instance), pointers, buffer);
}

std::int32_t clock_res_get(Instance& instance, std::int32_t clock, GuestPtr out) {
  if (clock != 0 && clock != 1) return kNotSupported;
  return ok_or_fault(instance.memory().store(out, std::uint64_t{1}));
}

std::int32_t clock_time_get(Instance& instance, std::int32_t clock, std::int64_t /*precision*/,
                            GuestPtr out) {
  if (clock != 0 && clock != 1) return kNotSupported;
  const std::uint64_t now =
      clock == 0 ? static_cast<std::uint64_t>(wall_now()) : guest_monotonic_now(instance);
  return ok_or_fault(instance.memory().store(out, now));
}

std::int32_t random_get(Instance& instance, GuestPtr address, GuestSize length) {
  if (length > kMaxRandom) return kInvalid;
  const auto target = instance.memory().span(address, length);
  if (!target) return kFault;
  for (std::size_t done = 0; done < target->size();) {
    const ssize_t got = getrandom(target->data() + done, target->size() - done, 0);
    if (got < 0 && errno != EINTR) return kIo;
    done += static_cast<std::size_t>(std::max<ssize_t>(got, 0));
  }
  return kSuccess;
}

std::int32_t sched_yield(Instance& /*instance*/) {
  return kSuccess;
}

std::int32_t proc_exit(Instance& instance, std::int32_t code) {
  instance.raise(TrapReason::kExit, fmt::format("exited with code {}", code), code);
  return 0;
}
void proc_exit_function(Instance& instance, std::int32_t code) {
  proc_exit(instance, code);
}

std::int32_t proc_raise(Instance& instance, std::int32_t signal) {
  instance.raise(TrapReason::kExit, fmt::format("raised signal {}", signal), 128 + (signal & 0x7F));
  return kSuccess;
}

// One pair of an iovec array.
std::optional<std::string_view> vector_at(const GuestMemory& memory, GuestPtr at) {
  const auto address = memory.load<GuestPtr>(at);
  const auto length = memory.load<GuestSize>(at + 4);
  if (!address || !length) return std::nullopt;
  return memory.view(*address, *length);
}

std::int32_t fd_write(Instance& instance, std::int32_t fd, GuestPtr vectors, GuestSize count,
                      GuestPtr written) {
  if (fd != 1 && fd != 2) return kBadFd;
  if (count > kMaxVectors) return kInvalid;
  const GuestMemory memory = instance.memory();
  if (!memory.view(vectors, count * 8) || !memory.store(written, std::uint32_t{0})) return kFault;
  std::string_view bytes;
  std::string gathered;
  for (GuestSize i = 0; i < count; ++i) {
    const auto part = vector_at(memory, vectors + i * 8);
    if (!part) return kFault;
    if (part->empty() || bytes.size() >= kMaxWrite) continue;
    const std::string_view taken = part->substr(0, kMaxWrite - bytes.size());
    if (bytes.empty()) {
      bytes = taken;
      continue;
    }
    if (gathered.empty()) gathered = bytes;
    gathered += taken;
    bytes = gathered;
  }
  if (instance.wasi() != nullptr && !bytes.empty()) instance.wasi()->write(instance, fd, bytes);
  return ok_or_fault(instance.memory().store(written, static_cast<std::uint32_t>(bytes.size())));
}

// Fills the first buffer that has room, as POSIX allows. Memory is looked at anew after a wait.
std::int32_t fd_read(Instance& instance, std::int32_t fd, GuestPtr vectors, GuestSize count,
                     GuestPtr read) {
  if (fd != 0) return kBadFd;
  if (count > kMaxVectors) return kInvalid;
  const GuestMemory memory = instance.memory();
  if (!memory.view(vectors, count * 8) || !memory.store(read, std::uint32_t{0})) return kFault;
  for (GuestSize i = 0; i < count; ++i) {
    const GuestPtr address = memory.load<GuestPtr>(vectors + i * 8).value_or(0);
    const GuestSize length = memory.load<GuestSize>(vectors + i * 8 + 4).value_or(0);
    if (!memory.view(address, length)) return kFault;
    if (length == 0 || instance.wasi() == nullptr) continue;
    const std::string_view bytes = instance.wasi()->read(instance, length);
    const GuestMemory now = instance.memory();
    const auto target = now.span(address, static_cast<GuestSize>(bytes.size()));
    if (!target) return kFault;
    std::ranges::copy(bytes, target->begin());
    return ok_or_fault(now.store(read, static_cast<std::uint32_t>(bytes.size())));
  }
  return kSuccess;
}

std::int32_t fd_close(Instance& /*instance*/, std::int32_t fd) {
  return is_stdio(fd) ? kSuccess : kBadFd;
}

// struct fdstat: kind, flags, rights, inheritable rights.
std::int32_t fd_fdstat_get(Instance& instance, std::int32_t fd, GuestPtr out) {
  if (!is_stdio(fd)) return kBadFd;
  const GuestMemory memory = instance.memory();
  if (!memory.view(out, 24)) return kFault;
  memory.store(out, std::uint64_t{kCharacterDevice});
  memory.store(out + 8, fd == 0 ? kRightRead : kRightWrite);
  memory.store(out + 16, std::uint64_t{0});
  return kSuccess;
}

// struct filestat: all zero but the kind; snapshot 0 has a narrower link count.
template <std::size_t Size>
std::int32_t fd_filestat_get(Instance& instance, std::int32_t fd, GuestPtr out) {
  if (!is_stdio(fd)) return kBadFd;
  const GuestMemory memory = instance.memory();
  const auto target = memory.span(out, Size);
  if (!target) return kFault;
  std::ranges::fill(*target, '\0');
  memory.store(out + 16, kCharacterDevice);
  return kSuccess;
}

using I32 = std::int32_t;
using I64 = std::int64_t;

// Signatures of preview 1; snapshot 0 has the same.
template <std::size_t FilestatSize, auto Poll>
constexpr auto functions(std::string_view module) {
  return std::to_array<HostFunction>({
      host_function<&args_get>(module, "args_get"),
      host_function<&args_sizes_get>(module, "args_sizes_get"),
      host_function<&environ_get>(module, "environ_get"),
      host_function<&environ_sizes_get>(module, "environ_sizes_get"),
      host_function<&clock_res_get>(module, "clock_res_get"),
      host_function<&clock_time_get>(module, "clock_time_get"),
      host_function<&fd_close>(module, "fd_close"),
      host_function<&fd_fdstat_get>(module, "fd_fdstat_get"),
      host_function<&fd_filestat_get<FilestatSize>>(module, "fd_filestat_get"),
      host_function<&fd_read>(module, "fd_read"),
      host_function<&fd_write>(module, "fd_write"),
      host_function<Poll>(module, "poll_oneoff"),
      host_function<&proc_exit_function>(module, "proc_exit"),
      host_function<&proc_raise>(module, "proc_raise"),
      host_function<&random_get>(module, "random_get"),
      host_function<&sched_yield>(module, "sched_yield"),

      host_function<&refuse_fd<kNotSupported, I64, I64, I32>>(module, "fd_advise"),
      host_function<&refuse_fd<kNotSupported, I64, I64>>(module, "fd_allocate"),
      host_function<&refuse_fd<kNotSupported>>(module, "fd_datasync"),
      host_function<&refuse_fd<kNoSys, I32>>(module, "fd_fdstat_set_flags"),
      host_function<&refuse_fd<kNotSupported, I64, I64>>(module, "fd_fdstat_set_rights"),
      host_function<&refuse_fd<kNotSupported, I64>>(module, "fd_filestat_set_size"),
      host_function<&refuse_fd<kNotSupported, I64, I64, I32>>(module, "fd_filestat_set_times"),
      host_function<&refuse_fd<kSeekPipe, I32, I32, I64, I32>>(module, "fd_pread"),
      host_function<&refuse<kBadFd, I32, I32>>(module, "fd_prestat_get"),
      host_function<&refuse<kBadFd, I32, I32, I32>>(module, "fd_prestat_dir_name"),
      host_function<&refuse_fd<kSeekPipe, I32, I32, I64, I32>>(module, "fd_pwrite"),
      host_function<&refuse_fd<kNotSupported, I32, I32, I64, I32>>(module, "fd_readdir"),
      host_function<&refuse_fd<kNotSupported, I32>>(module, "fd_renumber"),
      host_function<&refuse_fd<kSeekPipe, I64, I32, I32>>(module, "fd_seek"),
      host_function<&refuse_fd<kNotSupported>>(module, "fd_sync"),
      host_function<&refuse_fd<kSeekPipe, I32>>(module, "fd_tell"),

      host_function<&refuse<kNotSupported, I32, I32, I32>>(module, "path_create_directory"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32>>(module, "path_filestat_get"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I64, I64, I32>>(
          module, "path_filestat_set_times"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32, I32, I32>>(module, "path_link"),
      host_function<&refuse<kNoEntry, I32, I32, I32, I32, I32, I64, I64, I32, I32>>(module,
                                                                                    "path_open"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32, I32>>(module, "path_readlink"),
      host_function<&refuse<kNotSupported, I32, I32, I32>>(module, "path_remove_directory"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32, I32>>(module, "path_rename"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32>>(module, "path_symlink"),
      host_function<&refuse<kNotSupported, I32, I32, I32>>(module, "path_unlink_file"),

      host_function<&refuse<kNotSupported, I32, I32, I32>>(module, "sock_accept"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32, I32>>(module, "sock_recv"),
      host_function<&refuse<kNotSupported, I32, I32, I32, I32, I32>>(module, "sock_send"),
      host_function<&refuse<kNotSupported, I32, I32>>(module, "sock_shutdown"),
  });
}

constexpr auto kPreview1 = functions<64, &poll_oneoff>("wasi_snapshot_preview1");
constexpr auto kSnapshot0 = functions<56, &poll_oneoff_snapshot0>("wasi_unstable");

constexpr auto kAll = [] {
  std::array<HostFunction, kPreview1.size() + kSnapshot0.size()> out;
  const auto middle = std::ranges::copy(kPreview1, out.begin()).out;
  std::ranges::copy(kSnapshot0, middle);
  return out;
}();

}  // namespace
}  // namespace wasi

std::span<const HostFunction> wasi_functions() {
  return wasi::kAll;
}

}  // namespace heddle::sandbox
