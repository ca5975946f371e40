// `heddle serve -c FILE`
#include <fmt/core.h>

#include "cli/commands.h"
#include "cli/control_loop.h"
#include "cli/server.h"
#include "config/dump.h"
#include "config/reader.h"

namespace heddle::cli {
namespace {

// The configuration with what the command line puts in its place; null after the problems were
// printed.
std::shared_ptr<const config::Config> configuration(const ServeOptions& options) {
  const config::ReadResult result = config::read(
      options.config, {.lenient = options.lenient, .ourchat_config = options.ourchat_config});
  for (const config::Problem& problem : result.problems)
    fmt::print(stderr, "{}\n", to_string(problem));
  if (!result.ok()) {
    fmt::print(stderr, "heddle: {} has errors; nothing was started (heddle validate -c {})\n",
               options.config, options.config);
    return nullptr;
  }
  auto config = with_overrides(*result.config, options);
  if (!config) fmt::print(stderr, "heddle: {}\n", config.error().message);
  return config.value_or(nullptr);
}

}  // namespace

Result<std::shared_ptr<const config::Config>> with_overrides(config::Config config,
                                                             const ServeOptions& options) {
  if (!options.listen.empty()) config.listeners.front().address = options.listen;
  if (!options.admin.empty()) config.admin.address = options.admin;
  if (!options.log_level.empty()) {
    const auto level = parse_log_level(options.log_level);
    if (!level) {
      return fail(ErrorKind::kInvalidArgument,
                  "--log-level " + options.log_level +
                      ": trace, debug, info, warn, error, critical or off");
    }
    config.logging.level = *level;
  }
  config.effective_yaml = config::effective_yaml(config);
  return std::make_shared<const config::Config>(std::move(config));
}

int serve(const ServeOptions& options) {
  if (auto blocked = ControlLoop::block_signals(); !blocked) {
    fmt::print(stderr, "heddle: {}\n", blocked.error().message);
    return kExitFailed;
  }
  const std::size_t seen_files = fingerprint_of(options);
  const auto config = configuration(options);
  if (!config) return kExitConfig;
  auto log = Log::create(config->logging.level,
                         config->logging.format == "text" ? LogFormat::kText : LogFormat::kJson,
                         config->logging.file);
  if (!log) {
    fmt::print(stderr, "heddle: {}\n", log.error().message);
    return kExitConfig;
  }
  Server server(options, config, seen_files, **log);
  if (auto started = server.start(); !started) {
    (*log)->error("cannot start", {{"error", started.error().message}});
    (*log)->flush();
    fmt::print(stderr, "heddle: {}\n", started.error().message);
    // A value or a file that the configuration names; else something of the machine.
    const ErrorKind kind = started.error().kind;
    const bool named = kind == ErrorKind::kInvalidArgument || kind == ErrorKind::kNotFound;
    return named ? kExitConfig : kExitFailed;
  }
  server.run();
  return kExitOk;
}

}  // namespace heddle::cli
