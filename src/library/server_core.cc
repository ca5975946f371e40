#include "library/server_core.h"

#include <algorithm>
#include <utility>

#include "base/log.h"
#include "cli/commands.h"
#include "config/reader.h"
#include "library/errors.h"
#include "library/signals.h"

namespace heddle::v1::internal {
namespace {

heddle::ErrorKind to_internal(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kInvalidArgument:
      return heddle::ErrorKind::kInvalidArgument;
    case ErrorKind::kNotFound:
      return heddle::ErrorKind::kNotFound;
    default:
      return heddle::ErrorKind::kInternal;
  }
}

// Whether this thread is in a function of the program that a plugin called: the server cannot end,
// nor change what plugins it has, before that returns.
thread_local bool t_in_foreign_function = false;

class InForeignFunction {
 public:
  InForeignFunction() { t_in_foreign_function = true; }
  ~InForeignFunction() { t_in_foreign_function = before_; }
  InForeignFunction(const InForeignFunction&) = delete;
  InForeignFunction& operator=(const InForeignFunction&) = delete;

 private:
  bool before_ = t_in_foreign_function;
};

// What the program throws must not reach the guest's frames.
heddle::Result<std::string> run_foreign(const ForeignFunction& function,
                                        const extension::ForeignCall& call) {
  const auto failed = [](ErrorKind kind, std::string message) {
    return heddle::fail(to_internal(kind), std::move(message));
  };
  const InForeignFunction scope;
  try {
    auto result = function.function(
        {.plugin = call.plugin,
         .arguments = call.arguments,
         .reply = [reply = call.reply](auto bytes) { reply->send(std::move(bytes)); }});
    if (!result) return failed(result.error().kind, std::move(result.error().message));
    return std::move(*result);
  } catch (const std::exception& failure) {
    return failed(ErrorKind::kInternal, failure.what());
  } catch (...) {
    return failed(ErrorKind::kInternal, "an unknown exception");
  }
}

std::string lines(const std::vector<config::Problem>& problems) {
  std::string out;
  for (const config::Problem& problem : problems) {
    if (problem.severity != config::Problem::Severity::kError) continue;
    if (!out.empty()) out += '\n';
    out += to_string(problem);
  }
  return out;
}

std::unexpected<Error> refused(std::string message) {
  return std::unexpected(Error{.kind = ErrorKind::kInvalidArgument, .message = std::move(message)});
}

}  // namespace

ServerCore::ServerCore(ServerOptions options) : options_(std::move(options)) {
  for (const auto& [name, entry] : options_.foreign_functions) {
    foreign_functions_.add(name, entry.id, [&entry](const extension::ForeignCall& call) {
      return run_foreign(entry, call);
    });
  }
}

Result<std::shared_ptr<ServerCore>> ServerCore::start(const std::string& config_file,
                                                      ServerOptions options) {
  auto core = std::make_shared<ServerCore>(std::move(options));
  Started started;
  auto result = started.get_future();
  {
    const library::SignalsBlocked blocked;
    core->thread_ =
        std::thread([self = core.get(), config_file, started = std::move(started)]() mutable {
          self->run(config_file, std::move(started));
        });
  }
  if (auto begun = result.get(); !begun) return std::unexpected(std::move(begun.error()));
  return core;
}

// The control thread, from beginning to end.
void ServerCore::run(const std::string& config_file, Started started) {
  cli::ServeOptions serve_options;
  serve_options.config = config_file;
  serve_options.log_level = options_.log_level;
  serve_options.listen = options_.listen;
  serve_options.admin = options_.admin;
  serve_options.signals = false;
  serve_options.foreign_functions = &foreign_functions_;
  const config::ReadResult read = config::read(config_file, {});
  if (!read.ok()) return started.set_value(refused(lines(read.problems)));
  auto config = cli::with_overrides(*read.config, serve_options);
  if (!config)
    return started.set_value(std::unexpected(library::to_public(std::move(config.error()))));
  const auto& logging = (*config)->logging;
  auto log = Log::create(
      logging.level, logging.format == "text" ? LogFormat::kText : LogFormat::kJson, logging.file);
  if (!log) return started.set_value(std::unexpected(library::to_public(std::move(log.error()))));
  cli::Server server(std::move(serve_options), *config, **log);
  serve(server, std::move(started));
}

void ServerCore::serve(cli::Server& server, Started started) {
  if (auto begun = server.start(); !begun)
    return started.set_value(std::unexpected(library::to_public(std::move(begun.error()))));
  {
    const std::lock_guard lock(mutex_);
    server_ = &server;
  }
  started.set_value({});
  server.run();
  const std::lock_guard lock(mutex_);
  server_ = nullptr;
}

Result<void> ServerCore::reload() {
  if (t_in_foreign_function) {
    return refused(
        "a foreign function cannot wait for a reload, which waits for it; call "
        "Server::reload() on another thread");
  }
  std::promise<Result<void>> done;
  auto result = done.get_future();
  {
    const std::lock_guard lock(mutex_);
    if (server_ == nullptr) return refused("the server has stopped");
    server_->post([this, done = std::move(done)]() mutable {
      const auto reloaded = server_->reload_config();
      done.set_value(reloaded.applied ? Result<void>() : refused(lines(reloaded.problems)));
    });
  }
  try {
    return result.get();
  } catch (const std::future_error&) {  // it stopped before its turn
    return refused("the server has stopped");
  }
}

void ServerCore::stop() {
  {
    const std::lock_guard lock(mutex_);
    if (server_ != nullptr) server_->stop();
  }
  if (t_in_foreign_function) return;
  const std::lock_guard lock(join_mutex_);
  if (thread_.joinable()) thread_.join();
}

}  // namespace heddle::v1::internal

namespace heddle::v1 {

Result<Server> Server::start(const std::string& config_file, ServerOptions options) {
  auto core = internal::ServerCore::start(config_file, std::move(options));
  if (!core) return std::unexpected(std::move(core.error()));
  return Server(std::move(*core));
}

Result<void> Server::reload() const {
  return core_->reload();
}

void Server::stop() const {
  core_->stop();
}

}  // namespace heddle::v1
