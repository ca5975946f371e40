#include "sandbox/compile_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <utility>

namespace heddle::sandbox {
namespace {

using Checksum = std::array<unsigned char, 16>;

struct Trailer {
  std::array<char, 16> magic;
  std::uint64_t code_bytes;
  std::uint64_t reserved;
  Checksum checksum;
};
static_assert(sizeof(Trailer) == 48);
constexpr std::array<char, 16> kMagic = {'h', 'e', 'd', 'd', 'l', 'e',  '-',  'c',
                                         'o', 'd', 'e', '-', '1', '\n', '\0', '\0'};

class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  int fd() const { return fd_; }

 private:
  int fd_;
};

// A read-only view of a whole file.
class Mapping {
 public:
  Mapping(int fd, std::size_t size) : size_(size) {
    data_ = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (ok()) munmap(data_, size_);
  }
  bool ok() const { return data_ != MAP_FAILED; }
  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_;
};

struct MacDeleter {
  void operator()(EVP_MAC* mac) const { EVP_MAC_free(mac); }
  void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
};

// GMAC under a fixed key: not a secret, but a 128-bit checksum at 5 times the speed of SHA-256,
// which alone would make loading a large module miss its time. Who can write to the folder owns the
// process anyway.
std::optional<Checksum> checksum(std::span<const std::byte> code, std::string_view sha256,
                                 std::uint64_t compatibility) {
  const std::unique_ptr<EVP_MAC, MacDeleter> mac(EVP_MAC_fetch(nullptr, "GMAC", nullptr));
  if (mac == nullptr) return std::nullopt;
  const std::unique_ptr<EVP_MAC_CTX, MacDeleter> context(EVP_MAC_CTX_new(mac.get()));
  if (context == nullptr) return std::nullopt;
  std::array<char, 12> cipher = {"AES-128-GCM"};
  std::array<unsigned char, 12> nonce{};
  const std::array<unsigned char, 16> key{};
  const std::array<OSSL_PARAM, 3> parameters = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_CIPHER, cipher.data(), 0),
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_IV, nonce.data(), nonce.size()),
      OSSL_PARAM_construct_end()};
  const auto update = [&](const void* data, std::size_t size) {
    return EVP_MAC_update(context.get(), static_cast<const unsigned char*>(data), size) == 1;
  };
  Checksum out{};
  std::size_t length = 0;
  if (EVP_MAC_init(context.get(), key.data(), key.size(), parameters.data()) != 1 ||
      !update(sha256.data(), sha256.size()) || !update(&compatibility, sizeof compatibility) ||
      !update(code.data(), code.size()) ||
      EVP_MAC_final(context.get(), out.data(), &length, out.size()) != 1 || length != out.size()) {
    return std::nullopt;
  }
  return out;
}

std::string system_error(std::string_view doing, std::string_view what) {
  return fmt::format("cannot {} {}: {}", doing, what, std::strerror(errno));
}

// Empty: safe to use.
std::string refuse_folder(const std::string& folder) {
  std::error_code ignored;  // what counts is what lstat() finds afterwards
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), ignored);
  if (mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return system_error("create", folder);
  struct stat status{};
  if (lstat(folder.c_str(), &status) != 0) return system_error("open", folder);
  if (!S_ISDIR(status.st_mode)) return fmt::format("{} is not a folder", folder);
  if (status.st_uid != geteuid()) {
    return fmt::format("{} belongs to user {}, not to {}", folder, status.st_uid, geteuid());
  }
  if ((status.st_mode & 0777U) != 0700) {
    return fmt::format("{} has mode {:04o}, not 0700", folder, status.st_mode & 0777U);
  }
  return {};
}

bool write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, 32> digest{};
  unsigned length = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr);
  std::string out;
  out.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    out += kDigits[byte >> 4U];
    out += kDigits[byte & 15U];
  }
  return out;
}

CompileCache::CompileCache(const std::string& folder, std::uint64_t compatibility, Log& log)
    : compatibility_(compatibility), log_(log) {
  if (folder.empty()) return;
  const std::string refused = refuse_folder(folder);
  if (refused.empty()) {
    folder_ = folder;
  } else {
    log.warn("compile cache not used", {{"reason", refused}});
  }
}

std::string CompileCache::path(std::string_view sha256) const {
  return fmt::format("{}/{}-{:016x}.code", folder_, sha256, compatibility_);
}

std::optional<std::string> CompileCache::find(std::string_view sha256) const {
  if (!enabled()) return std::nullopt;
  std::string name = path(sha256);
  const File file(open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  if (file.fd() < 0) return std::nullopt;
  const auto damaged = [&](std::string_view why) {
    log_.warn("compile cache: damaged entry ignored", {{"file", name}, {"reason", why}});
    return std::nullopt;
  };
  struct stat status{};
  if (fstat(file.fd(), &status) != 0 || !S_ISREG(status.st_mode)) return damaged("not a file");
  if (status.st_uid != geteuid()) return damaged("belongs to another user");
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size < sizeof(Trailer)) return damaged("too short");
  const Mapping mapping(file.fd(), size);
  if (!mapping.ok()) return damaged("cannot be mapped");
  const auto code = mapping.bytes().first(size - sizeof(Trailer));
  Trailer trailer{};
  std::memcpy(&trailer, mapping.bytes().data() + code.size(), sizeof trailer);
  if (trailer.magic != kMagic || trailer.code_bytes != code.size()) return damaged("truncated");
  const auto sum = checksum(code, sha256, compatibility_);
  if (!sum || *sum != trailer.checksum) return damaged("wrong checksum");
  return name;
}

Result<void> CompileCache::write_file(const std::string& path, std::span<const std::byte> code,
                                      std::string_view sha256) const {
  const auto sum = checksum(code, sha256, compatibility_);
  if (!sum) return fail(ErrorKind::kInternal, "no checksum: OpenSSL lacks GMAC");
  Trailer trailer{.magic = kMagic, .code_bytes = code.size(), .reserved = 0, .checksum = *sum};
  std::string temporary = folder_ + "/.new-XXXXXX";
  const File file(mkostemp(temporary.data(), O_CLOEXEC));  // mode 0600
  if (file.fd() < 0) return fail(ErrorKind::kIo, system_error("create", temporary));
  if (!write_all(file.fd(), code) || !write_all(file.fd(), std::as_bytes(std::span(&trailer, 1))) ||
      rename(temporary.c_str(), path.c_str()) != 0) {
    std::string message = system_error("write", path);
    unlink(temporary.c_str());
    return fail(ErrorKind::kIo, std::move(message));
  }
  return {};
}

void CompileCache::store(std::string_view sha256, std::span<const std::byte> code) const {
  if (!enabled()) return;
  const auto written = write_file(path(sha256), code, sha256);
  if (!written) log_.warn("compile cache: not stored", {{"reason", written.error().message}});
}

}  // namespace heddle::sandbox
