// `heddle inspect FILE.wasm`
#include "plugins/inspect.h"

#include <fmt/core.h>

#include <boost/json.hpp>
#include <string>

#include "cli/commands.h"
#include "cli/contracts.h"
#include "contracts/route/manifest.h"
#include "sandbox/engine.h"

namespace heddle::cli {
namespace {

// Lines for a terminal; an empty text when there is no manifest.
std::string to_text(const std::string& path, const route::RouteManifest& manifest) {
  std::string out =
      fmt::format("  manifest  {} {}, from {}\n", manifest.name, manifest.version, path);
  for (const route::ManifestRoute& item : manifest.routes) {
    out += fmt::format("      {:<7} {} -> {}{}\n", item.method, item.path, item.handler,
                       item.auth ? " (with a user)" : "");
  }
  return out;
}

}  // namespace

int inspect(const InspectOptions& options) {
  const std::unique_ptr<Log> log = Log::null();
  metrics::Registry metrics;
  sandbox::EngineOptions engine_options;
  engine_options.instances = 1;
  auto engine = sandbox::Engine::create(engine_options, *log, metrics);
  if (!engine) {
    fmt::print(stderr, "heddle: {}\n", engine.error().message);
    return kExitFailed;
  }
  const Contracts contracts(**engine, *log, metrics, nullptr);
  const auto known = contracts.all();
  const auto inspection = plugins::inspect(**engine, known, options.file);
  if (!inspection) {
    fmt::print(stderr, "heddle: {}\n", inspection.error().message);
    return kExitFailed;
  }
  if (inspection->manifest.empty()) {
    fmt::print("{}\n",
               options.json ? plugins::to_json(*inspection) : plugins::to_text(*inspection));
    return kExitOk;
  }
  const auto manifest = route::parse_manifest(inspection->manifest);
  if (!manifest) {
    fmt::print(stderr, "heddle: {}: {}\n", inspection->manifest_path, manifest.error().message);
    return kExitFailed;
  }
  if (options.json) {
    const boost::json::object object = boost::json::parse(manifest->text).get_object();
    fmt::print("{}\n", plugins::to_json(*inspection, &object));
  } else {
    fmt::print("{}{}\n", plugins::to_text(*inspection),
               to_text(inspection->manifest_path, *manifest));
  }
  return kExitOk;
}

}  // namespace heddle::cli
