// WASI preview 1 (github.com/WebAssembly/WASI, legacy/preview1/docs.md) and its forerunner snapshot
// 0, as plugins see it: no files, no sockets. A call on what a plugin has not got fails with an
// errno; a bad guest address is EFAULT. By default nothing waits: a sleep moves the guest's clock
// instead (WasiHost::sleep).
#pragma once

#include <cstdint>

namespace heddle::sandbox::wasi {

enum Errno : std::int32_t {
  kSuccess = 0,
  kBadFd = 8,
  kFault = 21,
  kInvalid = 28,
  kIo = 29,
  kNoEntry = 44,
  kNoSys = 52,
  kNotSupported = 58,
  kSeekPipe = 70,
};

// The most that one fd_write takes; it then reports a partial write, as POSIX allows.
inline constexpr std::uint32_t kMaxWrite = 1U << 20U;
inline constexpr std::uint32_t kMaxVectors = 1024;
// The most that one random_get gives: the host makes it without a pause.
inline constexpr std::uint32_t kMaxRandom = 16U << 20U;
inline constexpr std::uint32_t kMaxSubscriptions = 1024;

}  // namespace heddle::sandbox::wasi
