// GET /config; POST /config/reload, /config/validate.
#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "admin/handlers.h"
#include "config/json.h"
#include "config/problems.h"
#include "config/yaml.h"

namespace heddle::admin {
namespace {

namespace json = boost::json;
using config::Problem;

json::value problem_value(const Problem& problem) {
  return {{"file", problem.location.file},     {"line", problem.location.line},
          {"column", problem.location.column}, {"path", problem.path},
          {"message", problem.message},        {"hint", problem.hint}};
}

json::array problems_of(const std::vector<Problem>& problems, Problem::Severity severity) {
  json::array out;
  for (const Problem& problem : problems) {
    if (problem.severity == severity) out.push_back(problem_value(problem));
  }
  return out;
}

// 422: the first error in words, all of them as a list.
Response refused(const std::vector<Problem>& problems, const std::vector<std::string>& notes) {
  json::array errors = problems_of(problems, Problem::Severity::kError);
  const auto first = std::ranges::find(problems, Problem::Severity::kError, &Problem::severity);
  std::string message = "the configuration cannot be used";
  if (first != problems.end()) {
    message = config::to_string(*first);
    if (errors.size() > 1) message += fmt::format(" (and {} more)", errors.size() - 1);
  } else if (!notes.empty()) {
    message = notes.front();
  }
  return json_response({{"error", {{"code", "invalid_configuration"}, {"message", message}}},
                        {"valid", false},
                        {"errors", std::move(errors)},
                        {"warnings", problems_of(problems, Problem::Severity::kWarning)},
                        {"notes", json::array(notes.begin(), notes.end())}},
                       422);
}

// Where relative paths of a configuration that came in a body start.
std::string base_directory(const std::shared_ptr<const config::Config>& config) {
  if (!config || config->files.empty()) return ".";
  const std::string folder = std::filesystem::path(config->files.front()).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

void show_config(const ApiDependencies& api, const Call& call, Respond respond) {
  const auto config = api.config();
  if (!config) return respond(error_response(503, "not_ready", "the gateway is starting"));
  if (!query_has(call.query, "format", "json")) {
    Response out;
    out.content_type = "application/yaml";
    out.body = config->effective_yaml;
    return respond(std::move(out));
  }
  // Secrets are gone from the effective configuration already.
  config::Problems problems;
  const auto tree =
      config::parse_yaml(config->effective_yaml, problems.add_file("config"), problems);
  std::optional<std::string> text;
  if (tree && !problems.has_errors()) {
    if (auto made = config::to_json(*tree, config::Secrets::kShown)) text = std::move(*made);
  }
  if (!text) {
    return respond(error_response(500, "internal", "the configuration cannot be shown as JSON"));
  }
  Response out;
  out.body = std::move(*text);
  out.body += '\n';
  respond(std::move(out));
}

void reload_config(const ApiDependencies& api, const Call&, Respond respond) {
  if (!api.reload_config) {
    return respond(error_response(
        501, "not_implemented", "this server was started without a configuration file to reload"));
  }
  api.run_on_control([&api, respond = std::move(respond)]() mutable {
    const ConfigReload done = api.reload_config();
    if (!done.applied) return respond(refused(done.problems, done.notes));
    respond(json_response({{"message", "Configuration reloaded"},
                           {"warnings", problems_of(done.problems, Problem::Severity::kWarning)},
                           {"notes", json::array(done.notes.begin(), done.notes.end())}}));
  });
}

void validate_config(const ApiDependencies& api, const Call& call, Respond respond) {
  if (call.request.body.empty()) {
    return respond(error_response(400, "empty_body", "send the configuration as YAML in the body"));
  }
  // Off the admin worker: a large file takes its time.
  api.run_on_control([&api, yaml = call.request.body, respond = std::move(respond)]() mutable {
    const config::ReadResult read =
        config::read_text(yaml, "request", base_directory(api.config()),
                          {.lenient = api.lenient, .hide_variables = true});
    if (!read.ok()) return respond(refused(read.problems, {}));
    respond(json_response({{"valid", true},
                           {"errors", json::array()},
                           {"warnings", problems_of(read.problems, Problem::Severity::kWarning)}}));
  });
}

}  // namespace heddle::admin
