#include "contracts/json_rpc/call.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/value.hpp>
#include <limits>
#include <utility>

#include "base/clock.h"
#include "base/json_write.h"
#include "contracts/json_rpc/call_errors.h"
#include "net/worker.h"

namespace heddle::json_rpc {
namespace {

constexpr LineProtocol::Token kNotification = LineProtocol::Token{1} << 63U;

LineLimits line_limits(const extension::PluginSpec& spec) {
  return {.line = spec.body_limit, .output = spec.output_limit};
}

ProgramOptions program_options(const extension::PluginSpec& spec) {
  ProgramOptions out;
  out.limits.memory = spec.memory_limit;
  // Every read and write counts there; what is bounded here are the guest's requests.
  out.limits.host_calls = std::numeric_limits<std::uint64_t>::max();
  out.cpu = spec.cpu_limit;
  out.environment = spec.environment;
  return out;
}

}  // namespace

Call::Call(std::shared_ptr<Version> version, net::Worker& worker, extension::RpcCall call,
           extension::RpcTarget::Done done)
    : version_(std::move(version)),
      worker_(worker),
      call_(std::move(call)),
      done_(std::move(done)),
      protocol_(*this, line_limits(version_->spec)),
      log_lines_(version_->spec.log_line_bytes) {}

Call::~Call() = default;

Lane& Call::lane() const {
  return version_->lanes.at(worker_.index());
}

void Call::submit() {
  if (call_.params.size() > version_->spec.body_limit) {
    return refuse(limit_error(
        "params_limit", fmt::format("params of more than {} bytes", version_->spec.body_limit)));
  }
  if (!lane().submit(shared_from_this())) refuse(queue_is_full());
}

RpcError Call::queue_is_full() {
  version_->record.limit_hit("max_queued_calls");
  return limit_error("max_queued_calls", fmt::format("{} calls run and {} wait already",
                                                     lane().running(), lane().waiting()));
}

// Before it is in a lane.
void Call::refuse(RpcError error) {
  over_ = true;
  worker_.post([self = shared_from_this(), outcome = failure(std::move(error))]() mutable {
    if (self->done_) std::exchange(self->done_, nullptr)(std::move(outcome));
  });
}

void Call::open() {
  kept_ = true;
  start_soon();
}

void Call::again(std::string_view method, std::string_view params,
                 extension::RpcTarget::Done done) {
  done_ = std::move(done);
  host_calls_ = 0;
  begun_ = worker_.now();
  program_->renew_cpu_limit(version_->spec.cpu_limit);
  arm_timeout();
  protocol_.call(method, params);
}

void Call::start_soon() {
  started_ = true;
  worker_.defer([self = shared_from_this()] { self->start(); });
}

void Call::start_later() {
  started_ = true;
  waited_ = true;
  worker_.post([self = shared_from_this()] { self->start(); });
}

void Call::start() {
  if (over_) return;
  begun_ = monotonic_now();
  auto program =
      GuestProgram::create(worker_, version_->linked, program_options(version_->spec), *this);
  if (!program) {
    // Other plugins have the instances; one of this plugin's own is the next to be free.
    if (!kept_ && program.error().kind == ErrorKind::kLimit && lane().running() > 1) {
      if (!waited_ && lane().full(*version_)) return finish(failure(queue_is_full()));
      started_ = false;
      return lane().put_back(shared_from_this());
    }
    return finish(failure(start_error(program.error())));
  }
  program_ = std::move(*program);
  version_->record.instances(1);
  arm_timeout();
  protocol_.call(call_.method, call_.params);
  program_->run();
}

void Call::arm_timeout() {
  timer_.arm(worker_.timers(), version_->spec.timeout, [this] {
    end_by_limit("timeout",
                 fmt::format("not finished within {} ms", version_->spec.timeout.count()));
  });
}

void Call::cancel() {
  done_ = nullptr;
  if (over_) return;
  if (started_) return finish({});
  over_ = true;
  lane().leave(*this);
}

// The guest may be on the stack below: what belongs to it goes when this event has ended.
void Call::finish(RpcOutcome outcome) {
  if (std::exchange(over_, true)) return;
  timer_.cancel();
  pending_.clear();
  if (!outcome.ok && done_) {
    version_->record.error(cause_of(outcome.error), outcome.error.message);
    version_->record.write(
        LogLevel::kInfo, "a call of a plugin failed", LogField("request_id", call_.request_id),
        LogField("cause", outcome.error.message), LogField("detail", outcome.error.data));
  }
  worker_.defer([self = shared_from_this(), outcome = std::move(outcome)]() mutable {
    if (self->program_) {
      self->program_.reset();
      self->version_->record.instances(-1);
    }
    if (!self->kept_) self->lane().leave(*self);
    if (self->done_) std::exchange(self->done_, nullptr)(std::move(outcome));
  });
}

// ---- what the guest writes

void Call::on_output(std::string_view bytes) {
  if (!over_) protocol_.feed(bytes);
}

void Call::on_error_output(std::string_view bytes) {
  if (over_) return;
  const std::size_t passed_over =
      log_lines_.feed(bytes, [this](std::string_view line) { return log_line(line); });
  version_->record.drop_lines(passed_over);
}

// False: the second has had its lines.
bool Call::log_line(std::string_view line) {
  if (!version_->record.admit_line()) return false;
  version_->record.line(LogLevel::kInfo, line, call_.request_id);
  if (call_.caller != nullptr && done_) call_.caller->on_log(line);
  return true;
}

// A guest that asks and does not read what comes would have the host keep it all.
bool Call::admit_host_call() {
  const auto& spec = version_->spec;
  version_->host_requests->add();
  const std::size_t unread = protocol_.held() + (program_ ? program_->unread() : 0);
  if (++host_calls_ > spec.host_calls) {
    end_by_limit("host_calls", fmt::format("more than {} requests to the host", spec.host_calls));
  } else if (unread / 2 > spec.body_limit) {
    end_by_limit("input_too_long", fmt::format("{} bytes that the plugin has not read", unread));
  } else {
    return true;
  }
  return false;
}

void Call::end_by_limit(std::string_view limit, std::string_view detail) {
  version_->record.limit_hit(limit);
  finish(protocol_.answered() ? std::move(answer_) : failure(limit_error(limit, detail)));
}

void Call::on_request(LineProtocol::Token token, std::string_view method,
                      const boost::json::value& params) {
  if (over_ || !admit_host_call()) return;
  const auto* known = version_->dependencies.methods.find(method);
  if (known == nullptr) return ask_caller(token, method, params);
  if (!permitted(method)) {
    return protocol_.fail(
        token, rpc_error(RpcError::kResourceUnavailable, "not permitted", "permission",
                         fmt::format("permissions.capabilities does not name {}", method)));
  }
  serve(*known, token, params);
}

void Call::ask_caller(LineProtocol::Token token, std::string_view method,
                      const boost::json::value& params) {
  if (call_.caller != nullptr && done_) {
    if (!admit_open_request(token)) return;
    HostMethods::Reply reply = reply_to(token);
    if (call_.caller->on_request(method, write_json(params), reply)) return;
    pending_.erase(token);
  }
  protocol_.fail(
      token, rpc_error(RpcError::kMethodNotFound, "Method not found", "method_not_found", method));
}

bool Call::admit_open_request(LineProtocol::Token token) {
  if (pending_.size() < version_->spec.outbound_calls) {
    pending_.emplace(token, nullptr);
    return true;
  }
  version_->record.limit_hit("outbound_calls");
  protocol_.fail(token, limit_error("outbound_calls", "too many requests at a time"));
  return false;
}

bool Call::permitted(std::string_view method) const {
  const auto& names = version_->spec.capabilities;
  return names.empty() || std::ranges::find(names, method) != names.end();
}

void Call::serve(const HostMethods::Method& method, LineProtocol::Token token,
                 const boost::json::value& params) {
  if (!admit_open_request(token)) return;
  const HostRequest request{worker_, version_->spec, call_, version_->record, params};
  services::Pending pending = method(request, reply_to(token));
  if (const auto found = pending_.find(token); found != pending_.end()) {
    found->second = std::move(pending);
  }
}

HostMethods::Reply Call::reply_to(LineProtocol::Token token) {
  return [weak = weak_from_this(), token](const RpcOutcome& outcome) {
    if (const auto self = weak.lock()) self->settle(token, outcome);
  };
}

void Call::settle(LineProtocol::Token token, const RpcOutcome& outcome) {
  if (over_) return;
  pending_.erase(token);
  if (outcome.ok) {
    protocol_.succeed(token, outcome.result);
  } else {
    protocol_.fail(token, outcome.error);
  }
}

void Call::on_notification(std::string_view method, const boost::json::value& params) {
  if (over_ || !admit_host_call()) return;
  if (const auto* known = version_->dependencies.methods.find(method)) {
    if (!permitted(method)) return;
    // The protocol knows no such token, and answers nothing.
    serve(*known, kNotification | ++notifications_, params);
  } else if (call_.caller != nullptr && done_) {
    call_.caller->on_notification(method, write_json(params));
  }
}

void Call::on_send(std::string line) {
  if (!over_ && program_) program_->write(line);
}

bool Call::input_open() {
  return !over_ && (kept_ || !protocol_.answered() || protocol_.open_requests() > 0);
}

// ---- the answer and the end

void Call::on_result(std::string result) {
  answer_ = success(std::move(result));
  answered();
}

void Call::on_error(RpcError error) {
  answer_ = failure(std::move(error));
  answered();
}

void Call::answered() {
  if (kept_) return hand_over();
  timer_.arm(worker_.timers(), kLinger, [this] { finish(std::move(answer_)); });
  if (program_) program_->check_input();
}

void Call::hand_over() {
  timer_.cancel();
  measure(program_ ? program_->cpu() : cpu_before_);
  if (!answer_.ok) version_->record.error(cause_of(answer_.error), answer_.error.message);
  worker_.defer([self = shared_from_this(), done = std::exchange(done_, nullptr),
                 outcome = std::move(answer_)]() mutable {
    if (done) done(std::move(outcome));
  });
}

void Call::measure(std::chrono::nanoseconds cpu) {
  version_->record.call(0, monotonic_now() - begun_);
  version_->record.cpu(static_cast<std::uint64_t>((cpu - cpu_before_).count()));
  cpu_before_ = cpu;
}

void Call::on_violation(Violation violation, std::string_view detail) {
  if (over_) return;
  const bool reads_on = violation != Violation::kOutputTooLong;
  if (protocol_.answered() && (reads_on || !kept_)) {
    version_->record.write(LogLevel::kDebug, "what a plugin wrote after its answer is ignored",
                           LogField("request_id", call_.request_id),
                           LogField("cause", to_string(violation)), LogField("detail", detail));
    return;
  }
  finish(failure(violation_error(violation, detail)));
}

void Call::on_end(const ProgramEnd& end) {
  log_lines_.end([this](std::string_view line) { return log_line(line); });
  if (!kept_ || done_) measure(end.cost.cpu);
  if (end.cost.denied_memory) version_->record.limit_hit(sandbox::kMemoryLimitName);
  if (over_) return;
  protocol_.end();
  finish(outcome_of(end));
}

RpcOutcome Call::outcome_of(const ProgramEnd& end) const {
  if (end.start_error) return failure(start_error(*end.start_error));
  if (!end.clean()) {
    const sandbox::Trap& trap = *end.trap;
    if (const auto limit = sandbox::limit_of(trap.reason)) version_->record.limit_hit(*limit);
    version_->record.write(
        LogLevel::kWarn, "a plugin trapped", LogField("request_id", call_.request_id),
        LogField("cause", sandbox::to_string(trap.reason)),
        LogField("detail", trap.message + (trap.backtrace.empty() ? "" : "\n") + trap.backtrace));
  }
  if (protocol_.answered()) return answer_;
  return failure(end.clean() ? no_answer_error(end.exit_code()) : trap_error(*end.trap));
}

}  // namespace heddle::json_rpc
