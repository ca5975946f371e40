// The verbs of the command line, one file each. Every function returns the exit code.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "extension/foreign_functions.h"

namespace heddle::cli {

// 0 ok, 1 failed, 2 usage; of sysexits.h: 69 a plugin that cannot be loaded (EX_UNAVAILABLE), 78
// configuration (EX_CONFIG).
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitUnavailable = 69;
inline constexpr int kExitConfig = 78;

struct ServeOptions {
  std::string config;          // file or folder
  std::string ourchat_config;  // OurChat's own file; empty: none
  std::string log_level;       // empty: the configuration's
  std::string listen;  // replaces the address of the first listener; empty: the configuration's
  std::string admin;   // replaces the admin address
  bool lenient = false;
  // Of a server within another program (src/library), whose signals are its own.
  bool signals = true;
  const extension::ForeignFunctions* foreign_functions = nullptr;  // outlives the server
};
int serve(const ServeOptions& options);
// A configuration with what the command line puts in its place.
Result<std::shared_ptr<const config::Config>> with_overrides(config::Config config,
                                                             const ServeOptions& options);

// Changes when the files of the configuration do. To be taken before they are read.
std::size_t fingerprint_of(const ServeOptions& options);

struct ValidateOptions {
  std::string config;
  std::string ourchat_config;
  bool lenient = false;
  bool json = false;
};
int validate(const ValidateOptions& options);

struct InspectOptions {
  std::string file;
  bool json = false;
};
int inspect(const InspectOptions& options);

struct CallOptions {
  std::string plugin;  // a .wasm file; with `config`, the name of a plugin there
  std::string method;
  std::string params = "null";           // JSON; "-": from standard input
  std::string config;                    // empty: none
  std::chrono::milliseconds timeout{0};  // 0: the plugin's own
};
// Calls a JSON-RPC plugin without a server.
int call(const CallOptions& options);

struct EmbedOptions {
  std::string module;
  std::string manifest;
  std::string output;  // empty: the module itself
};
int embed(const EmbedOptions& options);

// Of `heddle message`; each verb uses its part.
struct MessageOptions {
  std::string server = "http://127.0.0.1:8080";
  std::string token;  // or user and password
  std::string user;
  std::string password;
  std::string identity_key;  // of register; base64; empty: random
  std::string to;            // the recipient's key, base64
  std::string text;          // "-": standard input
  std::string payload_file;
  std::vector<std::string> files;
  std::string client_message_id;
  bool sealed = false;
  std::string channel;
  std::string wait;
  std::uint64_t after = 0;
  std::uint32_t limit = 100;
  bool acknowledge = false;
};
int message_register(const MessageOptions& options);
int message_send(const MessageOptions& options);
int message_fetch(const MessageOptions& options);
int message_tail(const MessageOptions& options);

// Writes the JSON Schema of the configuration to standard output.
int print_schema();

}  // namespace heddle::cli
