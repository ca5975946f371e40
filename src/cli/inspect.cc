// `heddle inspect FILE.wasm`
#include "plugins/inspect.h"

#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/contracts.h"
#include "sandbox/engine.h"

namespace heddle::cli {

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
  fmt::print("{}\n", options.json ? plugins::to_json(*inspection) : plugins::to_text(*inspection));
  return kExitOk;
}

}  // namespace heddle::cli
