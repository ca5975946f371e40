// `heddle`: the command line. Parses arguments and calls the verb.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/arguments.h"
#include "cli/commands.h"
#include "cli/message_arguments.h"
#include "cli/output.h"
#include "contracts/native_hook/child_main.h"
#include "contracts/native_hook/child_memory.h"

namespace {

using heddle::cli::CallOptions;
using heddle::cli::EmbedOptions;
using heddle::cli::InspectOptions;
using heddle::cli::ServeOptions;
using heddle::cli::ValidateOptions;

void add_serve(CLI::App& app, ServeOptions& options) {
  CLI::App* verb = app.add_subcommand("serve", "run the gateway");
  verb->add_option("-c,--config", options.config, "configuration: a YAML file, or a folder of them")
      ->envname("HEDDLE_CONFIG")
      ->required();
  verb->add_option("--ourchat-config", options.ourchat_config,
                   "OurChat's configuration (TOML), whose [plugin] table becomes messaging.hooks")
      ->envname("HEDDLE_OURCHAT_CONFIG");
  verb->add_option("--log-level", options.log_level,
                   "trace, debug, info, warn, error, critical or off")
      ->envname("HEDDLE_LOG_LEVEL");
  verb->add_option("--listen", options.listen,
                   "address of the first listener, instead of the configuration's")
      ->envname("HEDDLE_LISTEN");
  verb->add_option("--admin", options.admin,
                   "address of the admin API, instead of the configuration's")
      ->envname("HEDDLE_ADMIN");
  verb->add_flag("--lenient", options.lenient, "unknown settings are warnings")
      ->envname("HEDDLE_LENIENT");
}

void add_validate(CLI::App& app, ValidateOptions& options) {
  CLI::App* verb =
      app.add_subcommand("validate", "check a configuration and list all its problems");
  verb->add_option("-c,--config", options.config, "configuration: a YAML file, or a folder of them")
      ->envname("HEDDLE_CONFIG")
      ->required();
  verb->add_option("--ourchat-config", options.ourchat_config,
                   "OurChat's configuration (TOML), whose [plugin] table becomes messaging.hooks");
  verb->add_flag("--lenient", options.lenient, "unknown settings are warnings");
  verb->add_flag("--json", options.json, "problems as JSON on standard output");
}

void add_inspect(CLI::App& app, InspectOptions& options) {
  CLI::App* verb = app.add_subcommand("inspect", "show what a plugin file is, exports and needs");
  verb->add_option("file", options.file, "a .wasm file, a .zip or a folder")->required();
  verb->add_flag("--json", options.json, "as one JSON object");
}

void add_call(CLI::App& app, CallOptions& options, std::uint32_t& timeout_ms) {
  CLI::App* verb = app.add_subcommand("call", "call a method of a JSON-RPC plugin");
  verb->add_option("plugin", options.plugin, "a .wasm file; with -c, the name of a plugin there")
      ->required();
  verb->add_option("method", options.method, "the method")->required();
  verb->add_option("params", options.params, "its params as JSON (default null); - reads them");
  verb->add_option("-c,--config", options.config,
                   "configuration with the plugin's permissions and limits");
  verb->add_option("--timeout-ms", timeout_ms, "longest call, in milliseconds");
}

void add_embed(CLI::App& app, EmbedOptions& options) {
  CLI::App* verb = app.add_subcommand("embed", "put a manifest into a route plugin's module");
  verb->add_option("module", options.module, "a .wasm file")->required();
  verb->add_option("manifest", options.manifest, "manifest.json")->required();
  verb->add_option("-o,--output", options.output, "file to write; else the module itself");
}

int run(std::vector<std::string> arguments) {
  CLI::App app{"Heddle runs plugins on the request path: fast, limited, replaceable.", "heddle"};
  app.set_version_flag("--version", "heddle " HEDDLE_VERSION);
  app.require_subcommand(1);
  ServeOptions serve;
  ValidateOptions validate;
  InspectOptions inspect;
  EmbedOptions embed;
  heddle::cli::MessageOptions message;
  add_serve(app, serve);
  add_validate(app, validate);
  add_inspect(app, inspect);
  CallOptions call;
  std::uint32_t timeout_ms = 0;
  add_call(app, call, timeout_ms);
  add_embed(app, embed);
  heddle::cli::add_message(app, message);
  app.add_subcommand("schema", "print the JSON Schema of the configuration, for editors");
  app.add_subcommand("version", "print the version");

  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend() - 1);
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? heddle::cli::kExitOk : heddle::cli::kExitUsage;
  }
  if (app.got_subcommand("serve")) return heddle::cli::serve(serve);
  if (app.got_subcommand("validate")) return heddle::cli::validate(validate);
  if (app.got_subcommand("inspect")) return heddle::cli::inspect(inspect);
  if (app.got_subcommand("call")) {
    call.timeout = std::chrono::milliseconds(timeout_ms);
    return heddle::cli::call(call);
  }
  if (app.got_subcommand("embed")) return heddle::cli::embed(embed);
  if (const auto code = heddle::cli::run_message(app, message)) return *code;
  if (app.got_subcommand("schema")) return heddle::cli::print_schema();
  fmt::print("heddle {}\n", HEDDLE_VERSION);
  return heddle::cli::kExitOk;
}

}  // namespace

int main(int argc, char** argv) {
  // The server started itself to run one plugin; no one types this.
  if (argc > 1 && argv[1] == heddle::native_hook::kChildVerb) {
    return heddle::native_hook::run_child(argc, argv);
  }
  heddle::cli::keep_standard_streams();
  try {
    return run(heddle::cli::rewrite_loom_arguments({argv, argv + argc}));
  } catch (const std::exception& e) {
    heddle::cli::print_note(fmt::format("heddle: {}", e.what()));
    return heddle::cli::kExitFailed;
  }
}
