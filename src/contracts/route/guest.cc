#include "contracts/route/guest.h"

#include <fmt/format.h>

#include <utility>

namespace heddle::route {
namespace {

constexpr sandbox::GuestSize kPrefix = 4;

}  // namespace

Guest::Guest(Runtime& runtime, net::Worker& worker) : runtime_(runtime) {
  host_ = {.runtime = &runtime,
           .worker = &worker,
           .placement = &placement_,
           .request_id = {},
           .timeout = runtime.spec().timeout};
  environment = runtime.spec().environment;
}

Result<std::unique_ptr<Guest>> Guest::create(
    Runtime& runtime, const std::shared_ptr<const sandbox::LinkedModule>& linked,
    net::Worker& worker, sandbox::Loop& loop) {
  std::unique_ptr<Guest> out(new Guest(runtime, worker));
  auto instance =
      sandbox::Instance::create_suspendable(linked, runtime.limits(), &out->host_, out.get(), loop);
  if (!instance) return std::unexpected(std::move(instance.error()));
  out->instance_ = std::move(*instance);
  runtime.record().instances(1);
  return out;
}

Guest::~Guest() {
  if (instance_ == nullptr) return;
  instance_.reset();  // its host functions use what is destroyed next
  runtime_.record().memory(-memory_);
  runtime_.record().instances(-1);
}

void Guest::write(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    if (end > 0) {
      runtime_.record().guest_line(fd == 2 ? LogLevel::kError : LogLevel::kInfo,
                                   bytes.substr(0, end), host_.request_id);
    }
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
}

void Guest::measure(std::string_view call) {
  const auto bytes = static_cast<std::int64_t>(instance_->memory_bytes());
  runtime_.record().memory(bytes - std::exchange(memory_, bytes));
  runtime_.count_call(call, instance_->last_cost());
}

Failure Guest::trapped(const sandbox::Trap& trap) {
  failed_ = true;
  measure(trap.function);
  runtime_.count_trap(trap, host_.request_id);
  return failure_of(trap);
}

Failure Guest::broken(std::string message) {
  failed_ = true;
  runtime_.record().line(LogLevel::kError, message, host_.request_id);
  runtime_.record().error("bad_response", message);
  return {.status = 502, .code = "bad_response", .message = std::move(message)};
}

void Guest::start_failed(Failure failure) {
  failed_ = true;
  std::exchange(on_start_, nullptr)(std::unexpected(std::move(failure)));
}

void Guest::start(Started done) {
  on_start_ = std::move(done);
  instance_->start_async([this](Result<void> started) {
    if (started) started = placement_.find(*instance_);
    if (started) return initialize();
    runtime_.record().error("start", started.error().message);
    start_failed(failure_of(started.error()));
  });
}

void Guest::initialize() {
  const auto initialize = instance_->function<void()>("_initialize");
  if (!initialize || !*initialize) return init();
  instance_->call_async(*initialize, [this](sandbox::GuestResult<void> result) {
    if (result) return init();
    start_failed(trapped(result.error()));
  });
}

void Guest::init() {
  const auto init = instance_->function<std::int32_t()>("init");
  if (init && *init) {
    instance_->call_async(*init, [this](sandbox::GuestResult<std::int32_t> result) {
      if (result) return judge_init(*result);
      start_failed(trapped(result.error()));
    });
    return;
  }
  const auto silent = instance_->function<void()>("init");
  if (!silent || !*silent) return judge_init(0);
  instance_->call_async(*silent, [this](sandbox::GuestResult<void> result) {
    if (result) return judge_init(0);
    start_failed(trapped(result.error()));
  });
}

void Guest::judge_init(std::int32_t result) {
  if (result == 0 || (result == 1 && runtime_.current_dialect())) {
    started_ = true;
    return std::exchange(on_start_, nullptr)({});
  }
  std::string message = fmt::format("init() of the plugin returned {}", result);
  runtime_.record().line(LogLevel::kError, message, host_.request_id);
  runtime_.record().error("init", message);
  start_failed({.status = 503, .code = "plugin_unavailable", .message = std::move(message)});
}

void Guest::handle(const std::string& handler, std::string input, std::string request_id,
                   Answered done) {
  handler_ = handler;
  input_ = std::move(input);
  input_size_ = static_cast<sandbox::GuestSize>(input_.size());
  host_.request_id = std::move(request_id);
  on_answer_ = std::move(done);
  ++served_;
  if (!placement_.alloc()) {
    return place(placement_.own().room(*instance_, input_.size()).value_or(0));
  }
  instance_->call_async(
      placement_.alloc(),
      [this](sandbox::GuestResult<sandbox::GuestPtr> address) {
        if (address) return place(*address);
        std::exchange(on_answer_, nullptr)(std::unexpected(trapped(address.error())));
      },
      input_size_);
}

void Guest::refuse(Failure failure) {
  failed_ = true;
  runtime_.record().line(LogLevel::kError, failure.message, host_.request_id);
  runtime_.record().error(failure.code, failure.message);
  std::exchange(on_answer_, nullptr)(std::unexpected(std::move(failure)));
}

void Guest::refuse_room(sandbox::GuestPtr address) {
  std::string message =
      fmt::format("no room for an input of {} bytes: the plugin's {} gave the address {}",
                  input_.size(), placement_.alloc() ? "allocator" : "memory", address);
  if (address != 0) {
    return refuse({.status = 500, .code = "plugin_error", .message = std::move(message)});
  }
  runtime_.record().limit_hit("memory_limit");
  refuse({.status = 507, .code = "memory_limit", .message = std::move(message)});
}

void Guest::place(sandbox::GuestPtr address) {
  if (!write_bytes(*instance_, address, input_)) return refuse_room(address);
  input_address_ = address;
  input_ = {};
  const auto handler =
      instance_->function<sandbox::GuestPtr(sandbox::GuestPtr, sandbox::GuestSize)>(handler_);
  if (!handler || !*handler) {
    return refuse({.status = 500,
                   .code = "plugin_error",
                   .message = "the plugin does not export " + handler_ + " as (i32, i32) -> i32"});
  }
  instance_->call_async(
      *handler,
      [this](sandbox::GuestResult<sandbox::GuestPtr> result) {
        if (result) return answer(*result);
        std::exchange(on_answer_, nullptr)(std::unexpected(trapped(result.error())));
      },
      input_address_, input_size_);
}

void Guest::answer(sandbox::GuestPtr result) {
  measure(handler_);
  auto done = std::exchange(on_answer_, nullptr);
  const auto found = find_result(instance_->memory(), result, runtime_.spec().body_limit);
  if (!found && found.error().kind == ErrorKind::kLimit) {
    failed_ = true;
    runtime_.record().limit_hit("response_bytes");
    runtime_.record().line(LogLevel::kError, found.error().message, host_.request_id);
    return done(std::unexpected(
        Failure{.status = 507, .code = "response_too_large", .message = found.error().message}));
  }
  if (!found) return done(std::unexpected(broken(found.error().message)));
  if (found->prefixed) {
    result_address_ = result;
    result_size_ = static_cast<sandbox::GuestSize>(found->text.size()) + kPrefix;
  }
  auto response = read_response(*found);
  if (!response) {
    return done(
        std::unexpected(broken("the handler's answer is not valid: " + response.error().message)));
  }
  done(std::move(*response));
}

void Guest::tidy(Finished done) {
  placement_.own().forget();
  const bool frees = placement_.dealloc() && usable();
  const auto address = std::exchange(input_address_, 0);
  if (frees && placement_.alloc() && address != 0) {
    instance_->call_async(
        placement_.dealloc(),
        [this, done = std::move(done)](sandbox::GuestResult<void> result) mutable {
          if (!result) trapped(result.error());
          tidy(std::move(done));
        },
        address, input_size_);
    return;
  }
  const auto size = std::exchange(result_size_, 0);
  if (frees && size > 0) {
    instance_->call_async(
        placement_.dealloc(),
        [this, done = std::move(done)](sandbox::GuestResult<void> result) mutable {
          if (!result) trapped(result.error());
          done();
        },
        result_address_, size);
    return;
  }
  done();
}

void Guest::execute(Returned done) {
  const auto execute = instance_->function<std::int32_t()>("execute");
  if (!execute || !*execute) {
    return done(std::unexpected(Failure{
        .status = 404, .code = "not_found", .message = "the plugin does not export execute()"}));
  }
  instance_->call_async(
      *execute, [this, done = std::move(done)](sandbox::GuestResult<std::int32_t> result) mutable {
        if (!result) return done(std::unexpected(trapped(result.error())));
        measure("execute");
        done(*result);
      });
}

void Guest::close(Finished done) {
  host_.request_id.clear();
  if (!usable()) return done();
  started_ = false;
  const auto finish = [this](auto result) {
    if (!result) runtime_.count_trap(result.error(), {});
  };
  const auto cleanup = instance_->function<std::int32_t()>("cleanup");
  if (cleanup && *cleanup) {
    return instance_->call_async(
        *cleanup, [finish, done = std::move(done)](sandbox::GuestResult<std::int32_t> r) mutable {
          finish(std::move(r));
          done();
        });
  }
  const auto silent = instance_->function<void()>("cleanup");
  if (!silent || !*silent) return done();
  instance_->call_async(*silent,
                        [finish, done = std::move(done)](sandbox::GuestResult<void> r) mutable {
                          finish(std::move(r));
                          done();
                        });
}

}  // namespace heddle::route
