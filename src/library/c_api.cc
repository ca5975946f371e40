// The C API (include/heddle.h) over the C++ one. No exception leaves a function; an object of C is
// a handle of C++ on the heap.
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <utility>

#include "heddle.h"
#include "heddle/host.h"
#include "library/errors.h"
#include "library/options.h"

using heddle::v1::Error;
using heddle::v1::ErrorKind;
using heddle::v1::Host;
using heddle::v1::Json;
using heddle::v1::PendingCall;
using heddle::v1::Plugin;
using heddle::v1::Reply;
using heddle::v1::Result;
using heddle::v1::Session;

namespace {

// Where plugins' lines go; set after the host was made.
struct LogSink {
  std::mutex mutex;
  heddle_log log = nullptr;
  void* user = nullptr;

  void write(std::string_view plugin, std::string_view line) {
    const auto [to, with] = [&] {
      const std::lock_guard lock(mutex);
      return std::pair(log, user);
    }();
    if (to != nullptr) to(with, std::string(plugin).c_str(), std::string(line).c_str());
  }
};

}  // namespace

struct heddle_error {
  Error error;
  std::string data;
};
struct heddle_host {
  Host host;
  std::shared_ptr<LogSink> log;
};
struct heddle_plugin {
  Plugin plugin;
};
struct heddle_session {
  Session session;
};
struct heddle_call {
  PendingCall call;
};
struct heddle_reply {
  Reply reply;
};

namespace {

void set_error(heddle_error** out, Error error) {
  if (out == nullptr) return;
  std::string data = error.data.dump();
  *out = new heddle_error{std::move(error), std::move(data)};
}

char* copy(std::string_view text) {
  auto* out = static_cast<char*>(std::malloc(text.size() + 1));
  if (out == nullptr) return nullptr;
  std::memcpy(out, text.data(), text.size());
  out[text.size()] = '\0';
  return out;
}

// Runs `body`, which gives a Result<T>; `fallback` after an error or an exception.
template <typename Body>
auto guarded(heddle_error** error, Body body) -> typename std::invoke_result_t<Body>::value_type {
  using T = typename std::invoke_result_t<Body>::value_type;
  try {
    auto result = body();
    if (result) return std::move(*result);
    set_error(error, std::move(result.error()));
  } catch (const std::exception& failure) {
    set_error(error, {.kind = ErrorKind::kInternal, .message = failure.what()});
  }
  return T{};
}

Result<char*> text_of(Result<std::string> answer) {
  if (!answer) return std::unexpected(std::move(answer.error()));
  return copy(*answer);
}

std::unexpected<Error> null_argument(const char* name) {
  return std::unexpected(Error{.kind = ErrorKind::kInvalidArgument,
                               .message = std::string(name) + " must not be NULL"});
}

// The program's `user`, released with the last plugin that may ask for the method.
class User {
 public:
  User(void* user, heddle_release release) : user_(user), release_(release) {}
  ~User() {
    if (release_ != nullptr) release_(user_);
  }
  User(const User&) = delete;
  User& operator=(const User&) = delete;
  void* get() const { return user_; }

 private:
  void* user_;
  heddle_release release_;
};

void answer(heddle_reply* reply, Result<Json> with) {
  const std::unique_ptr<heddle_reply> owned(reply);
  owned->reply.send(std::move(with));
}

Result<Json> json_of(const char* text, const char* what) {
  if (text == nullptr) return Json();
  auto value = Json::parse(text);
  if (!value) value.error().message = std::string(what) + ": " + value.error().message;
  return value;
}

}  // namespace

extern "C" {

const char* heddle_version(void) {
  return HEDDLE_VERSION_STRING;
}

void heddle_free(char* text) {
  std::free(text);
}

heddle_error_kind heddle_error_get_kind(const heddle_error* error) {
  return static_cast<heddle_error_kind>(error->error.kind);
}

const char* heddle_error_message(const heddle_error* error) {
  return error->error.message.c_str();
}

int heddle_error_code(const heddle_error* error) {
  return error->error.code;
}

const char* heddle_error_cause(const heddle_error* error) {
  return error->error.cause.c_str();
}

const char* heddle_error_data(const heddle_error* error) {
  return error->data.c_str();
}

void heddle_error_delete(heddle_error* error) {
  delete error;
}

heddle_host* heddle_host_new(const char* options, heddle_error** error) {
  return guarded(error, [&]() -> Result<heddle_host*> {
    auto read = heddle::library::read_host_options(options);
    if (!read) return std::unexpected(std::move(read.error()));
    auto log = std::make_shared<LogSink>();
    read->on_log = [log](std::string_view plugin, std::string_view line) {
      log->write(plugin, line);
    };
    auto host = Host::create(std::move(*read));
    if (!host) return std::unexpected(std::move(host.error()));
    return new heddle_host{std::move(*host), std::move(log)};
  });
}

void heddle_host_delete(heddle_host* host) {
  delete host;
}

void heddle_host_set_log(heddle_host* host, heddle_log log, void* user) {
  const std::lock_guard lock(host->log->mutex);
  host->log->log = log;
  host->log->user = user;
}

bool heddle_host_add_method(heddle_host* host, const char* name, heddle_method method, void* user,
                            heddle_release release, heddle_error** error) {
  auto owned = std::make_shared<User>(user, release);
  return guarded(error, [&]() -> Result<bool> {
    if (name == nullptr) return null_argument("name");
    if (method == nullptr) return null_argument("method");
    host->host.add_method(name, [method, owned](const Json& params, Reply reply) {
      method(owned->get(), params.dump().c_str(), new heddle_reply{std::move(reply)});
    });
    return true;
  });
}

void heddle_reply_success(heddle_reply* reply, const char* result) {
  answer(reply, json_of(result, "the host method's result is"));
}

void heddle_reply_failure(heddle_reply* reply, int code, const char* message, const char* data) {
  auto json = json_of(data, "the host method's error data is");
  if (!json) return answer(reply, std::unexpected(std::move(json.error())));
  answer(reply, heddle::v1::fail(code, message == nullptr ? "" : message, std::move(*json)));
}

heddle_plugin* heddle_host_load_file(heddle_host* host, const char* path, const char* options,
                                     heddle_error** error) {
  return guarded(error, [&]() -> Result<heddle_plugin*> {
    if (path == nullptr) return null_argument("path");
    auto read = heddle::library::read_plugin_options(options);
    if (!read) return std::unexpected(std::move(read.error()));
    auto plugin = host->host.load_file(path, std::move(*read));
    if (!plugin) return std::unexpected(std::move(plugin.error()));
    return new heddle_plugin{std::move(*plugin)};
  });
}

heddle_plugin* heddle_host_load(heddle_host* host, const void* module, size_t size,
                                const char* options, heddle_error** error) {
  return guarded(error, [&]() -> Result<heddle_plugin*> {
    if (module == nullptr) return null_argument("module");
    auto read = heddle::library::read_plugin_options(options);
    if (!read) return std::unexpected(std::move(read.error()));
    auto plugin = host->host.load({static_cast<const std::byte*>(module), size}, std::move(*read));
    if (!plugin) return std::unexpected(std::move(plugin.error()));
    return new heddle_plugin{std::move(*plugin)};
  });
}

void heddle_plugin_delete(heddle_plugin* plugin) {
  delete plugin;
}

char* heddle_plugin_call(heddle_plugin* plugin, const char* method, const char* params,
                         heddle_error** error) {
  return guarded(error, [&]() -> Result<char*> {
    if (method == nullptr) return null_argument("method");
    return text_of(plugin->plugin.call_text(method, params == nullptr ? "null" : params));
  });
}

heddle_call* heddle_plugin_start(heddle_plugin* plugin, const char* method, const char* params,
                                 heddle_done done, void* user, heddle_error** error) {
  return guarded(error, [&]() -> Result<heddle_call*> {
    if (method == nullptr) return null_argument("method");
    if (done == nullptr) return null_argument("done");
    auto json = json_of(params, "params are");
    if (!json) return std::unexpected(std::move(json.error()));
    auto call = plugin->plugin.call(method, std::move(*json), [done, user](Result<Json> answer) {
      if (answer) return done(user, answer->dump().c_str(), nullptr);
      std::string data = answer.error().data.dump();
      const heddle_error failed{std::move(answer.error()), std::move(data)};
      done(user, nullptr, &failed);
    });
    return new heddle_call{std::move(call)};
  });
}

void heddle_call_cancel(heddle_call* call) {
  call->call.cancel();
}

void heddle_call_delete(heddle_call* call) {
  delete call;
}

char* heddle_plugin_stats(heddle_plugin* plugin) {
  const auto stats = plugin->plugin.stats();
  return copy(Json::object({{"calls", stats.calls},
                            {"errors", stats.errors},
                            {"limit_hits", stats.limit_hits},
                            {"instances", stats.instances},
                            {"queued", stats.queued},
                            {"cpu_seconds", stats.cpu_seconds},
                            {"average_call_us", stats.average_call_us},
                            {"last_error", stats.last_error}})
                  .dump());
}

heddle_session* heddle_plugin_open_session(heddle_plugin* plugin, heddle_error** error) {
  return guarded(error, [&]() -> Result<heddle_session*> {
    auto session = plugin->plugin.open_session();
    if (!session) return std::unexpected(std::move(session.error()));
    return new heddle_session{std::move(*session)};
  });
}

char* heddle_session_call(heddle_session* session, const char* method, const char* params,
                          heddle_error** error) {
  return guarded(error, [&]() -> Result<char*> {
    if (method == nullptr) return null_argument("method");
    return text_of(session->session.call_text(method, params == nullptr ? "null" : params));
  });
}

void heddle_session_delete(heddle_session* session) {
  delete session;
}

}  // extern "C"
