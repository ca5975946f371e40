// `heddle validate -c FILE`: every problem of a configuration at once.
#include <fmt/core.h>

#include <boost/json.hpp>
#include <utility>

#include "cli/commands.h"
#include "config/reader.h"
#include "gateway/tls_contexts.h"

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

}  // namespace

int validate(const ValidateOptions& options) {
  config::ReadResult result = config::read(options.config, {.lenient = options.lenient});
  if (result.ok()) check_certificates(result);
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
    fmt::print("{}\n", boost::json::serialize(boost::json::object{{"valid", result.ok()},
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
