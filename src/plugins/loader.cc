#include "plugins/loader.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <openssl/evp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <ranges>
#include <system_error>
#include <tuple>
#include <utility>

#include "net/socket.h"
#include "sandbox/module_sections.h"

namespace heddle::plugins {
namespace {

constexpr std::size_t kMaxFile = std::size_t{1} << 30U;  // bytes; anything larger is not a plugin

std::unexpected<Error> open_error(const std::string& path, int code) {
  switch (code) {
    case ENOENT:
    case ENOTDIR:
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("{}: no such file; build the plugin or correct its path", path));
    case EACCES:
    case EPERM:
      return fail(
          ErrorKind::kPermission,
          fmt::format("{}: cannot be read (permission denied); make it readable for user {}", path,
                      geteuid()));
    default:
      return fail(ErrorKind::kIo, fmt::format("{}: cannot be opened: {}", path,
                                              std::generic_category().message(code)));
  }
}

}  // namespace

Result<std::vector<std::byte>> Loader::read_path(const std::string& path) {
  // Not blocking: a FIFO in a plugin directory must not hang the control thread.
  const net::Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return open_error(path, errno);
  struct stat status{};
  if (fstat(file.get(), &status) != 0) return open_error(path, errno);
  if (S_ISDIR(status.st_mode)) {
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("{}: is a folder; name a .wasm file in it, or use plugin_directories", path));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(ErrorKind::kInvalidArgument, fmt::format("{}: is not a regular file", path));
  }
  if (static_cast<std::size_t>(status.st_size) > kMaxFile) {
    return fail(ErrorKind::kLimit, fmt::format("{}: is larger than {} MB", path, kMaxFile >> 20U));
  }
  std::vector<std::byte> bytes(static_cast<std::size_t>(status.st_size));
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      return fail(ErrorKind::kIo, fmt::format("{}: cannot be read: {}", path,
                                              std::generic_category().message(errno)));
    }
    if (count == 0) break;  // it shrank meanwhile
    done += static_cast<std::size_t>(count);
  }
  bytes.resize(done);
  if (bytes.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("{}: the file is empty; build the plugin again", path));
  }
  return bytes;
}

namespace {

// Joins the lines of a text (a backtrace) by "; ".
std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    if (line.empty()) continue;
    if (!out.empty()) out += "; ";
    out += line;
  }
  return out;
}

std::string prefix_of(const config::Plugin& entry) {
  return fmt::format("plugin {}: ", entry.name);
}

extension::FailurePolicy to_policy(config::OnFailure on_failure) {
  switch (on_failure) {
    case config::OnFailure::kClosed:
      return extension::FailurePolicy::kClosed;
    case config::OnFailure::kOpen:
      return extension::FailurePolicy::kOpen;
    case config::OnFailure::kReload:
      return extension::FailurePolicy::kReload;
  }
  return extension::FailurePolicy::kClosed;
}

auto fields_of(const config::Match& match) {
  return std::tie(match.name, match.value);
}

bool same_matches(const std::vector<config::Match>& a, const std::vector<config::Match>& b) {
  return std::ranges::equal(a, b, {}, fields_of, fields_of);
}

bool same_smoke(const config::Smoke& a, const config::Smoke& b) {
  const auto& [method, path, headers, body, status, expected] = a;
  return method == b.method && path == b.path && same_matches(headers, b.headers) &&
         body == b.body && status == b.expect_status && same_matches(expected, b.expect_headers);
}

// Whether a package that cannot be read was meant as a route plugin: only these come in archives,
// or in folders with a manifest. Anything else may be a filter, which must not be left out
// silently.
bool is_route_package(const std::string& path) {
  std::error_code error;
  return path.ends_with(".zip") ||
         std::filesystem::is_regular_file(std::filesystem::path(path) / kManifestFile, error);
}

// Native code under the name of a WebAssembly module: who put it there expected a sandbox.
bool is_misnamed(const std::string& path) {
  return path.ends_with(".wasm");
}

}  // namespace

Loader::Loader(sandbox::Engine& engine, std::vector<extension::PluginContract*> contracts, Log& log)
    : engine_(engine), contracts_(std::move(contracts)), log_(log) {}

Result<Package> Loader::read(const config::Plugin& entry) {
  auto package = read_package(entry.path);
  if (!package) return std::unexpected(std::move(package.error()).within(prefix_of(entry)));
  return package;
}

Result<LoadedVersion> Loader::load(const config::Plugin& entry, std::uint32_t version) const {
  auto package = read(entry);
  if (!package) return std::unexpected(std::move(package.error()));
  LoadedVersion out;
  out.version = version;
  out.sha256 = package->sha256;
  out.digest = package->digest;
  if (!entry.sha256.empty() && entry.sha256 != out.sha256) {
    return fail(
        ErrorKind::kConflict,
        fmt::format("plugin {}: {}: sha256 is {}, but the configuration demands {}; restore the "
                    "file, or correct `sha256:` if the change is meant",
                    entry.name, entry.path, out.sha256, entry.sha256));
  }
  const auto within = [&](Error error) {
    error.message = one_line(error.message);
    return std::unexpected(
        std::move(error).within(fmt::format("plugin {}: {}: ", entry.name, package->module_path)));
  };
  auto made = make(entry, *package, out);
  if (!made) return within(std::move(made.error()));
  if (entry.must_filter && !is_filter(*out.plugin)) {
    return within({ErrorKind::kInvalidArgument,
                   fmt::format("is of kind {}, which filters no requests, but the configuration "
                               "names it as a filter (`phase:`, or `plugins:` of a route, a TCP "
                               "listener or a route plugin); build it with a Proxy-Wasm SDK, or "
                               "take it out there",
                               out.kind)});
  }
  if (!entry.smoke.empty()) {
    if (!smoke_) return within({ErrorKind::kInternal, "smoke requests cannot be run here"});
    if (auto passed = smoke_(out.plugin, entry); !passed) {
      return within(std::move(passed.error()).within("smoke request failed: "));
    }
  }
  log_.debug("plugin version made", {{"plugin", entry.name},
                                     {"version", version},
                                     {"kind", out.kind},
                                     {"compile_cache", out.module && out.module->from_cache()}});
  return out;
}

namespace {

// What the kind leaves open has one default for all.
void complete(const extension::PluginContract& contract, extension::PluginSpec& spec) {
  contract.complete(spec);
  if (spec.host_calls == 0) spec.host_calls = 10'000;
}

}  // namespace

Result<void> Loader::make(const config::Plugin& entry, Package& package, LoadedVersion& out) const {
  extension::PluginSpec spec = make_spec(entry, out.version);
  spec.manifest = std::move(package.manifest);
  spec.manifest_path = package.manifest_path;
  const auto taker = std::ranges::find_if(contracts_, [&](const auto* contract) {
    return !package.module.empty() && contract->takes_file(package.module) &&
           (entry.kind.empty() || entry.kind == contract->kind());
  });
  Result<std::shared_ptr<extension::LoadedPlugin>> plugin;
  if (package.module.empty()) {
    auto contract = contract_for_manifest(entry);
    if (!contract) return std::unexpected(std::move(contract.error()));
    out.kind = (*contract)->kind();
    (*contract)->complete(spec);
    plugin = (*contract)->load_manifest(spec);
  } else if (taker != contracts_.end()) {
    if (entry.kind.empty() && is_misnamed(package.module_path)) {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("is native code (ELF) under the name of a WebAssembly module; build "
                              "the plugin for wasm32, or set `kind: {}` if native code is meant",
                              (*taker)->kind()));
    }
    out.kind = (*taker)->kind();
    complete(**taker, spec);
    plugin = (*taker)->load_file(spec, package.module);
  } else {
    const Nanoseconds begin = monotonic_now();
    auto module = compile(entry, package.module);
    if (!module && entry.path.ends_with(".so")) {
      return fail(ErrorKind::kInvalidArgument,
                  "is no shared object (ELF); build the plugin with -shared -fPIC");
    }
    if (!module) return std::unexpected(std::move(module.error()));
    out.compile_time = monotonic_now() - begin;
    out.module = *module;
    auto contract = contract_for(entry, **module, spec.manifest.has_value());
    if (!contract) return std::unexpected(std::move(contract.error()));
    out.kind = (*contract)->kind();
    complete(**contract, spec);
    plugin = (*contract)->load(spec, *module);
  }
  if (!plugin) return std::unexpected(std::move(plugin.error()));
  out.timeout = spec.timeout;
  out.host_calls = spec.host_calls;
  out.plugin = std::move(*plugin);
  return {};
}

Result<extension::PluginContract*> Loader::contract_for_manifest(
    const config::Plugin& entry) const {
  const auto found = std::ranges::find_if(contracts_, [&](const auto* contract) {
    return contract->takes_manifest() && (entry.kind.empty() || entry.kind == contract->kind());
  });
  if (found != contracts_.end()) return *found;
  return fail(ErrorKind::kInvalidArgument,
              "has a manifest and no module, which no plugin of this kind may; add the .wasm file");
}

Result<std::shared_ptr<const sandbox::Module>> Loader::compile(
    const config::Plugin& entry, const std::vector<std::byte>& bytes) const {
  auto module = engine_.compile(bytes, entry.name);
  if (!module) return std::unexpected(module_error(std::move(module.error()), entry.name));
  return module;
}

Error module_error(Error error, std::string_view name) {
  for (const std::string& prefix : {fmt::format("module {}: ", name), fmt::format("{}: ", name)}) {
    if (error.message.starts_with(prefix)) error.message.erase(0, prefix.size());
  }
  error.message.resize(std::min(error.message.find('\n'), error.message.size()));
  if (!error.message.contains("build")) {
    error.message += "; build the plugin again (for Rust: --target wasm32-wasip1)";
  }
  return error;
}

Result<extension::PluginContract*> Loader::contract_for(const config::Plugin& entry,
                                                        const sandbox::Module& module,
                                                        bool has_manifest) const {
  if (!entry.kind.empty()) {
    for (extension::PluginContract* contract : contracts_) {
      if (contract->kind() == entry.kind) return contract;
    }
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("kind {} is not offered here (there is: {}); correct `kind:`, or leave it out",
                    entry.kind,
                    fmt::join(contracts_ | std::views::transform([](const auto* contract) {
                                return contract->kind();
                              }),
                              ", ")));
  }
  for (extension::PluginContract* contract : contracts_) {
    if (contract->recognises(module)) return contract;
  }
  for (extension::PluginContract* contract : contracts_) {
    if (has_manifest && contract->takes_manifest()) return contract;
  }
  return fail(ErrorKind::kInvalidArgument, not_recognised(module));
}

std::string Loader::likely_kind(const std::string& path) const {
  const auto manifests = std::ranges::find_if(
      contracts_, [](const auto* contract) { return contract->takes_manifest(); });
  std::string route(manifests == contracts_.end() ? std::string_view() : (*manifests)->kind());
  const auto package = read_package(path);
  if (!package) return is_route_package(path) ? route : std::string();
  if (package->module.empty()) return route;
  for (const extension::PluginContract* contract : contracts_) {
    if (!contract->takes_file(package->module)) continue;
    return is_misnamed(package->module_path) ? "" : std::string(contract->kind());
  }
  const std::string_view bytes(reinterpret_cast<const char*>(package->module.data()),
                               package->module.size());
  const auto sections = sandbox::parse_module_sections(bytes);
  if (!sections) return package->manifest ? route : std::string();
  const auto exports = [&](std::string_view name) {
    return std::ranges::find(sections->exports, name, &sandbox::Export::name) !=
           sections->exports.end();
  };
  const bool proxy_wasm = std::ranges::any_of(sections->exports, [](const sandbox::Export& item) {
    return item.name.starts_with("proxy_abi_version_");
  });
  if (proxy_wasm) return {};
  if (exports("qpc_plugin_init")) return "native_hook";
  const bool embedded = std::ranges::any_of(
      sections->custom, [](const auto& section) { return section.name == "manifest"; });
  if (package->manifest || embedded) return route;
  return exports("on_message_send") || exports("on_plugin_load") ? "message_hook" : "";
}

std::string not_recognised(const sandbox::Module& module) {
  std::vector<std::string_view> functions;
  for (const sandbox::Export& item : module.exports()) {
    if (item.kind == sandbox::ExternKind::kFunction) functions.push_back(item.name);
  }
  constexpr std::size_t kShown = 8;
  std::string found =
      functions.empty() ? "no function"
                        : fmt::format("{}", fmt::join(functions | std::views::take(kShown), ", "));
  if (functions.size() > kShown) found += fmt::format(" and {} more", functions.size() - kShown);
  return fmt::format(
      "is of no known kind. Looked for: proxy_abi_version_* (proxy_wasm), qpc_plugin_init "
      "(native_hook), "
      "custom section or file manifest (route), on_message_send or on_plugin_load (message_hook), "
      "_start "
      "(json_rpc); it exports {}. Build it with one of the SDKs, or set `kind:`",
      found);
}

// `sql: true` of the guide's configuration is the right to write.
std::string sql_access_of(const std::string& setting) {
  if (setting == "true") return "write";
  return setting == "false" ? "none" : setting;
}

extension::PluginSpec make_spec(const config::Plugin& entry, std::uint32_t version) {
  extension::PluginSpec spec;
  spec.name = entry.name;
  spec.version = version;
  spec.path = entry.path;
  spec.phases = entry.phases;
  spec.priority = entry.priority;
  spec.configuration = entry.configuration;
  spec.vm_configuration = entry.vm_configuration;
  spec.root_id = entry.root_id;
  spec.vm_id = entry.vm_id;
  spec.memory_limit = entry.memory_limit;
  spec.timeout = entry.timeout;
  spec.buffer_limit = entry.buffer_limit;
  spec.body_limit = entry.body_limit;
  spec.log_lines_per_second = entry.log_lines_per_second;
  spec.log_line_bytes = entry.log_line_bytes;
  spec.host_calls = entry.host_calls;
  spec.cpu_limit = entry.cpu_limit;
  spec.reuse_instances = entry.instances == "reuse";
  spec.max_requests = entry.max_requests;
  spec.max_instances = entry.max_instances;
  spec.instance_idle = entry.instance_idle_timeout;
  spec.merge_body = entry.merge_body;
  spec.outbound_calls = entry.outbound_calls;
  spec.on_failure = to_policy(entry.on_failure);
  spec.on_failure_given = entry.on_failure_given;
  spec.memory_limit_given = entry.memory_limit_given;
  spec.isolation = entry.isolation;
  spec.instances = entry.instances;
  spec.failure_status = entry.failure_status;
  spec.allow_on_headers_stop_iteration = entry.allow_on_headers_stop_iteration;
  spec.string_properties = entry.property_encoding == "strings";
  spec.permitted_hosts = entry.permissions.http;
  spec.permit_shared_data = entry.permissions.shared_data;
  spec.sql_access = sql_access_of(entry.permissions.sql);
  spec.permitted_plugins = entry.permissions.plugins;
  spec.max_calls = entry.max_calls;
  spec.max_queued_calls = entry.max_queued_calls;
  spec.permit_state = entry.permissions.state;
  spec.permit_events = entry.permissions.events;
  spec.private_networks = entry.permissions.private_networks;
  spec.foreign_functions = entry.permissions.foreign_functions;
  spec.capabilities = entry.permissions.capabilities;
  spec.route_configurations = entry.route_configurations;
  // What the entry sets wins over what it lets through.
  for (const auto& [key, value] : entry.environment)
    spec.environment.push_back(fmt::format("{}={}", key, value));
  for (const std::string& key : entry.permissions.environment) {
    if (entry.environment.contains(key)) continue;
    if (const char* value = std::getenv(key.c_str()))
      spec.environment.push_back(fmt::format("{}={}", key, value));
  }
  return spec;
}

bool same_entry(const config::Plugin& a, const config::Plugin& b) {
  // Naming every member makes a new one an error here, so that it is not forgotten.
  const auto& [name, path, kind, phases, priority, configuration, vm_configuration, root_id, vm_id,
               memory_limit, timeout, buffer_limit, body_limit, log_lines, log_bytes, host_calls,
               max_calls, max_queued, cpu_limit, max_requests, max_instances, instance_idle,
               merge_body, outbound_calls, on_failure, failure_given, memory_given, isolation,
               instances, failure_status, stop_iteration, property_encoding, enabled, permissions,
               environment, smoke, route_configurations, sha256, filters, must_filter, location] =
      a;
  const auto& [http, shared_data, sql, state, events, plugins, networks, names, capabilities,
               foreign_functions] = permissions;
  std::ignore = enabled;
  std::ignore = must_filter;  // what is one already stays as it is
  std::ignore = location;
  return name == b.name && path == b.path && kind == b.kind && phases == b.phases &&
         priority == b.priority && configuration == b.configuration &&
         vm_configuration == b.vm_configuration && root_id == b.root_id && vm_id == b.vm_id &&
         memory_limit == b.memory_limit && timeout == b.timeout && buffer_limit == b.buffer_limit &&
         body_limit == b.body_limit && log_lines == b.log_lines_per_second &&
         log_bytes == b.log_line_bytes && host_calls == b.host_calls && cpu_limit == b.cpu_limit &&
         max_requests == b.max_requests && max_instances == b.max_instances &&
         instance_idle == b.instance_idle_timeout && merge_body == b.merge_body &&
         outbound_calls == b.outbound_calls && on_failure == b.on_failure &&
         failure_given == b.on_failure_given && memory_given == b.memory_limit_given &&
         isolation == b.isolation && instances == b.instances &&
         failure_status == b.failure_status &&
         stop_iteration == b.allow_on_headers_stop_iteration &&
         property_encoding == b.property_encoding && http == b.permissions.http &&
         shared_data == b.permissions.shared_data && sql == b.permissions.sql &&
         state == b.permissions.state && events == b.permissions.events &&
         plugins == b.permissions.plugins && max_calls == b.max_calls &&
         max_queued == b.max_queued_calls && networks == b.permissions.private_networks &&
         names == b.permissions.environment && capabilities == b.permissions.capabilities &&
         route_configurations == b.route_configurations &&
         foreign_functions == b.permissions.foreign_functions && environment == b.environment &&
         std::ranges::equal(smoke, b.smoke, same_smoke) && filters == b.filters &&
         sha256 == b.sha256;
}

bool is_filter(extension::LoadedPlugin& plugin) {
  return plugin.http_filter() != nullptr || plugin.network_filter() != nullptr;
}

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, 32> digest{};
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return fmt::format("{:02x}", fmt::join(digest, ""));
}

}  // namespace heddle::plugins
