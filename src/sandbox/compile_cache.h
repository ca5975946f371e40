// Compiled modules on disk. Loading one runs native code from it, so the folder must belong to the
// effective user and nobody else may enter it; and a file counts only when it is whole: each ends
// with a trailer that holds the length and a checksum over the code and its key. Files are written
// beside and renamed, never changed in place, so a mapped one cannot shrink. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/log.h"
#include "base/result.h"

namespace heddle::sandbox {

// SHA-256 in lower-case hex.
std::string sha256_hex(std::span<const std::byte> bytes);

class CompileCache {
 public:
  // Makes the folder (0700) when it is missing. An empty `folder`, or one that is not safe to use,
  // gives a cache that never finds and never stores; a warning says why. `compatibility` is the
  // engine's: code of another is never found.
  CompileCache(const std::string& folder, std::uint64_t compatibility, Log& log);

  bool enabled() const { return !folder_.empty(); }

  // Path of the whole, unchanged compiled code of the module with this hash. Damaged files are
  // reported and not found.
  std::optional<std::string> find(std::string_view sha256) const;

  // Failures are logged; the module runs without the cache.
  void store(std::string_view sha256, std::span<const std::byte> code) const;

 private:
  std::string path(std::string_view sha256) const;
  Result<void> write_file(const std::string& path, std::span<const std::byte> code,
                          std::string_view sha256) const;

  std::string folder_;
  std::uint64_t compatibility_;
  Log& log_;
};

}  // namespace heddle::sandbox
