#include "library/host_core.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <thread>
#include <utility>

#include "contracts/json_rpc/contract.h"
#include "library/errors.h"
#include "library/plugin_core.h"
#include "library/signals.h"

namespace heddle::v1::internal {
namespace {

constexpr std::uint32_t kMostInstances = 10'000;
constexpr std::uint32_t kMostThreads = 64;
// Indices of workers, by which a plugin keeps what belongs to each. Those below belong to shards of
// the metrics with one thread each, which several hosts of one process would share.
constexpr std::size_t kFirstThread = 32;
constexpr std::size_t kFirstSeat = kFirstThread + kMostThreads;
constexpr std::size_t kMostSeats = 150;
static_assert(kFirstSeat + kMostSeats < extension::kSmokeWorker);

heddle::Result<void> check(const HostOptions& options) {
  const auto within = [](std::string_view name, std::uint32_t value,
                         std::uint32_t most) -> heddle::Result<void> {
    if (value >= 1 && value <= most) return {};
    return heddle::fail(
        heddle::ErrorKind::kInvalidArgument,
        fmt::format("HostOptions::{} is {}; it must be 1 to {}", name, value, most));
  };
  if (auto right = within("max_instances", options.max_instances, kMostInstances); !right)
    return right;
  return within("threads", options.threads, kMostThreads);
}

}  // namespace

heddle::Result<std::shared_ptr<HostCore>> HostCore::create(HostOptions options) {
  if (auto right = check(options); !right) return std::unexpected(std::move(right.error()));
  std::shared_ptr<HostCore> out(new HostCore(std::move(options)), &HostCore::destroy);
  sandbox::EngineOptions engine;
  engine.strategy =
      out->options_.interpret ? sandbox::Strategy::kPulley : sandbox::Strategy::kCranelift;
  engine.cache_dir = out->options_.cache_dir;
  engine.instances = 1;  // every guest may wait
  engine.suspendable_instances = out->options_.max_instances;
  const library::SignalsBlocked blocked;
  auto made = sandbox::Engine::create(engine, *out->log_, out->metrics_);
  if (!made) return std::unexpected(std::move(made.error()));
  out->engine_ = std::move(*made);
  return out;
}

HostCore::HostCore(HostOptions options)
    : options_(std::move(options)),
      log_(Log::null()),
      seats_(kFirstSeat, std::min<std::size_t>(options_.max_instances, kMostSeats), *log_) {}

HostCore::~HostCore() {
  for (const auto& worker : threads_) worker->stop();
  for (const auto& worker : threads_) worker->join();
}

// A thread cannot wait for its own end.
void HostCore::destroy(HostCore* core) {
  if (net::Worker::current() == nullptr) {
    delete core;
  } else {
    std::thread([core] { delete core; }).detach();
  }
}

net::Worker* HostCore::next_thread() {
  const std::lock_guard lock(threads_mutex_);
  const std::size_t index = next_++ % options_.threads;
  if (index < threads_.size()) return threads_[index].get();
  const library::SignalsBlocked blocked;
  try {
    auto made = std::make_unique<net::Worker>(kFirstThread + threads_.size(), *log_);
    made->start();
    return threads_.emplace_back(std::move(made)).get();
  } catch (const std::system_error&) {
    return threads_.empty() ? nullptr : threads_.front().get();
  }
}

heddle::Result<std::shared_ptr<PluginCore>> HostCore::load(std::span<const std::byte> module,
                                                           PluginOptions options) {
  const std::string name = options.name;
  auto made = PluginCore::create(shared_from_this(), module, std::move(options));
  if (!made)
    return std::unexpected(std::move(made.error()).within(fmt::format("plugin {}: ", name)));
  return made;
}

}  // namespace heddle::v1::internal

namespace heddle::v1 {
namespace {

constexpr std::uintmax_t kMostBytes = std::uintmax_t{256} << 20U;

std::unexpected<Error> cannot_read(const std::string& path, std::error_code why) {
  const auto kind = why == std::errc::no_such_file_or_directory || why == std::errc::not_a_directory
                        ? ErrorKind::kNotFound
                    : why == std::errc::permission_denied ? ErrorKind::kPermission
                                                          : ErrorKind::kInvalidArgument;
  return std::unexpected(
      Error{.kind = kind, .message = fmt::format("{}: cannot be read: {}", path, why.message())});
}

Result<std::vector<std::byte>> read_file(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);  // refuses what is no file
  if (!error && access(path.c_str(), R_OK) != 0) error.assign(errno, std::generic_category());
  if (!error && size > kMostBytes) error = make_error_code(std::errc::file_too_large);
  if (error) return cannot_read(path, error);
  std::vector<std::byte> bytes(size);
  std::ifstream file(path, std::ios::binary);
  file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
  bytes.resize(static_cast<std::size_t>(file.gcount()));  // it may have shrunk
  return bytes;
}

}  // namespace

std::string_view version() {
  return HEDDLE_VERSION_STRING;
}

Result<Host> Host::create(HostOptions options) {
  auto core = internal::HostCore::create(std::move(options));
  if (!core) return std::unexpected(library::to_public(std::move(core.error())));
  return Host(std::move(*core));
}

void Host::add(std::string method, Method function) {
  core_->methods().add(std::move(method), std::move(function));
}

void Host::add(std::string method, AsyncMethod function) {
  core_->methods().add(std::move(method), std::move(function));
}

Result<Plugin> Host::load(std::span<const std::byte> module, PluginOptions options) const {
  if (options.name.empty()) options.name = "plugin";
  auto core = core_->load(module, std::move(options));
  if (!core) return std::unexpected(library::to_public(std::move(core.error())));
  return Plugin(std::move(*core));
}

Result<Plugin> Host::load_file(const std::string& path, PluginOptions options) const {
  auto bytes = read_file(path);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (options.name.empty()) options.name = std::filesystem::path(path).stem().string();
  return load(*bytes, std::move(options));
}

}  // namespace heddle::v1
