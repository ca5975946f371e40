// `heddle validate -c FILE`: every problem of a configuration at once.
#include <fmt/core.h>

#include <boost/json.hpp>
#include <utility>

#include "base/json_write.h"
#include "cli/commands.h"
#include "cli/service_set.h"
#include "config/reader.h"
#include "contracts/route/contract.h"
#include "gateway/tls_contexts.h"
#include "plugins/package.h"
#include "sandbox/module_sections.h"

namespace heddle::cli {

namespace {

// A certificate out of its time would be refused by every peer, so that here it is an error.
void check_certificates(config::ReadResult& result) {
  gateway::TlsStore::Loaded loaded = gateway::TlsStore().load(*result.config);
  for (config::Problem& problem : loaded.problems) {
    problem.severity = config::Problem::Severity::kError;
    result.problems.push_back(std::move(problem));
  }
  if (!loaded.problems.empty()) result.config = nullptr;
}

void check_services(config::ReadResult& result, const std::string& file) {
  const std::vector<Error> errors = ServiceSet::check(*result.config);
  for (const Error& error : errors) {
    result.problems.push_back(
        {config::Problem::Severity::kError, {.file = file}, {}, error.message, {}});
  }
  if (!errors.empty()) result.config = nullptr;
}

// The manifest of a route plugin, and whether its module has what it names; files that are missing
// are for the start to tell.
Result<void> check_manifest(const plugins::Package& package) {
  std::string text = package.manifest.value_or("");
  std::string path = package.manifest_path;
  const auto sections = sandbox::parse_module_sections(
      {reinterpret_cast<const char*>(package.module.data()), package.module.size()});
  if (!sections && !package.module.empty()) return {};
  if (!package.manifest) {
    for (const auto& section : sections->custom) {
      if (section.name == route::kManifestSection) text = section.bytes;
    }
    path = package.module_path + ", section manifest";
  }
  if (text.empty()) return {};
  const auto manifest = route::parse_manifest(text);
  auto checked = manifest ? package.module.empty()
                                ? route::check_alone(*manifest)
                                : route::check_handlers(*manifest, sections->exports)
                          : Result<void>(std::unexpected(manifest.error()));
  if (!checked) return std::unexpected(std::move(checked.error()).within(path + ": "));
  return {};
}

void check_manifests(config::ReadResult& result) {
  bool wrong = false;
  for (std::size_t i = 0; i < result.config->plugins.size(); ++i) {
    const config::Plugin& plugin = result.config->plugins[i];
    if (!plugin.kind.empty() && plugin.kind != "route") continue;
    const auto package = plugins::read_package(plugin.path);
    if (!package) continue;
    const auto checked = check_manifest(*package);
    if (checked) continue;
    wrong = true;
    result.problems.push_back({config::Problem::Severity::kError, plugin.location,
                               fmt::format("plugins[{}].path", i), checked.error().message,
                               "correct the manifest"});
  }
  if (wrong) result.config = nullptr;
}

}  // namespace

int validate(const ValidateOptions& options) {
  config::ReadResult result = config::read(
      options.config, {.lenient = options.lenient, .ourchat_config = options.ourchat_config});
  if (result.ok()) check_certificates(result);
  if (result.ok()) check_services(result, options.config);
  if (result.ok()) check_manifests(result);
  std::size_t errors = 0;
  boost::json::array list;
  for (const config::Problem& problem : result.problems) {
    const bool error = problem.severity == config::Problem::Severity::kError;
    errors += error ? 1 : 0;
    if (options.json) {
      list.push_back({{"severity", error ? "error" : "warning"},
                      {"file", problem.location.file},
                      {"line", problem.location.line},
                      {"column", problem.location.column},
                      {"path", problem.path},
                      {"message", problem.message},
                      {"hint", problem.hint}});
    } else {
      fmt::print(stderr, "{}\n", to_string(problem));
    }
  }
  if (options.json) {
    fmt::print("{}\n", write_json(boost::json::object{{"valid", result.ok()},
                                                      {"problems", std::move(list)}}));
  } else if (result.ok()) {
    fmt::print("{}: valid; {} listeners, {} routes, {} upstreams, {} plugins{}\n", options.config,
               result.config->listeners.size(), result.config->routes.size(),
               result.config->upstreams.size(), result.config->plugins.size(),
               result.problems.empty() ? "" : fmt::format(", {} warnings", result.problems.size()));
  } else {
    fmt::print(stderr, "{}: {} error{}\n", options.config, errors, errors == 1 ? "" : "s");
  }
  return result.ok() ? kExitOk : kExitConfig;
}

int print_schema() {
  fmt::print("{}\n", config::json_schema());
  return kExitOk;
}

}  // namespace heddle::cli
