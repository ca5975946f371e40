#include "library/plugin_core.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "contracts/json_rpc/contract.h"
#include "library/errors.h"
#include "library/pending_core.h"
#include "library/session_core.h"
#include "net/worker.h"

namespace heddle::v1::internal {
namespace {

// Longer ones do not fit into the clocks; nobody sees their end.
constexpr std::chrono::hours kLongest{24 * 365};

extension::PluginSpec make_spec(const PluginOptions& options) {
  extension::PluginSpec out;
  out.name = options.name;
  out.timeout = std::min<std::chrono::milliseconds>(options.timeout, kLongest);
  out.cpu_limit = std::min<std::chrono::milliseconds>(options.cpu_limit, kLongest);
  out.memory_limit = options.memory_limit;
  out.body_limit = options.params_limit;
  out.output_limit = options.output_limit;
  out.host_calls = options.host_calls;
  out.outbound_calls = options.pending_host_calls;
  out.log_lines_per_second = options.log_lines_per_second;
  out.log_line_bytes = options.log_line_bytes;
  out.environment = options.environment;
  // The Gate counts, over all workers.
  out.max_calls = options.max_calls;
  out.max_queued_calls = options.max_queued_calls;
  return out;
}

// To the contract, zero means its own default, which would be a surprise here.
heddle::Result<void> check(const PluginOptions& options) {
  const bool positive =
      options.timeout.count() > 0 && options.cpu_limit.count() > 0 && options.memory_limit > 0 &&
      options.params_limit > 0 && options.output_limit > 0 && options.host_calls > 0 &&
      options.pending_host_calls > 0 && options.max_calls > 0 && options.log_line_bytes > 0;
  if (positive) return {};
  return heddle::fail(
      heddle::ErrorKind::kInvalidArgument,
      fmt::format("plugin {}: a limit of PluginOptions is zero or negative; all but "
                  "max_queued_calls and log_lines_per_second must be 1 or more",
                  options.name));
}

// The log and notifications of the program: what they throw must not reach the guest's frames.
template <typename F, typename... Args>
void tell(const F& callback, Args&&... args) {
  if (!callback) return;
  try {
    callback(std::forward<Args>(args)...);
  } catch (...) {  // NOLINT(bugprone-empty-catch): there is nobody to tell
  }
}

}  // namespace

bool within_an_event() {
  return net::Worker::current() != nullptr;
}

Result<Json> to_answer(extension::RpcOutcome outcome) {
  if (!outcome.ok) return std::unexpected(library::to_public(std::move(outcome.error)));
  return Json::parse(outcome.result);
}

heddle::Result<std::shared_ptr<PluginCore>> PluginCore::create(std::shared_ptr<HostCore> host,
                                                               std::span<const std::byte> bytes,
                                                               PluginOptions options) {
  if (auto right = check(options); !right) return std::unexpected(std::move(right.error()));
  auto module = host->engine().compile(bytes, options.name);
  if (!module) return std::unexpected(std::move(module.error()));
  auto methods = host->methods().snapshot();
  json_rpc::Contract contract({.engine = host->engine(),
                               .log = host->log(),
                               .metrics = host->metrics(),
                               .methods = *methods});
  auto loaded = contract.load(make_spec(options), std::move(*module));
  if (!loaded) return std::unexpected(std::move(loaded.error()));
  return std::make_shared<PluginCore>(std::move(host), std::move(options), std::move(methods),
                                      std::static_pointer_cast<json_rpc::Plugin>(*loaded));
}

PluginCore::PluginCore(std::shared_ptr<HostCore> host, PluginOptions options,
                       std::shared_ptr<const json_rpc::HostMethods> methods,
                       std::shared_ptr<json_rpc::Plugin> plugin)
    : host_(std::move(host)),
      options_(std::move(options)),
      methods_(std::move(methods)),
      plugin_(std::move(plugin)),
      gate_(options_.max_calls, options_.max_queued_calls) {}

extension::RpcError PluginCore::no_place(bool waited) {
  refused_.fetch_add(1, std::memory_order_relaxed);
  return waited ? library::call_error(
                      extension::RpcError::kLimitExceeded,
                      fmt::format("plugin {}: {} calls run and {} wait already", options_.name,
                                  options_.max_calls, options_.max_queued_calls),
                      "max_queued_calls")
                : library::call_error(
                      extension::RpcError::kLimitExceeded,
                      fmt::format("plugin {}: all of {} calls run, and a call from within a host "
                                  "method does not wait",
                                  options_.name, options_.max_calls),
                      "max_calls");
}

extension::RpcOutcome PluginCore::call(std::string_view method, std::string params) {
  const auto self = shared_from_this();
  const bool nested = within_an_event();
  if (nested ? !gate_.try_enter() : !gate_.enter_and_wait()) {
    return json_rpc::failure(no_place(!nested));
  }
  const auto leave = [](library::Gate* gate) { gate->leave(); };
  const std::unique_ptr<library::Gate, decltype(leave)> place(&gate_, leave);
  auto seat = host_->seats().take(!nested);
  if (!seat) {
    return json_rpc::failure(library::call_error(extension::RpcError::kLimitExceeded,
                                                 seat.error().message, "max_instances"));
  }
  extension::RpcOutcome out;
  std::unique_ptr<extension::RpcTarget::Handle> handle;
  bool over = false;
  net::Worker& worker = seat->worker();
  worker.run_here(
      [&] {
        handle = plugin_->rpc_target()->call(
            worker, {.method = std::string(method), .params = std::move(params), .caller = this},
            [&](extension::RpcOutcome outcome) {
              out = std::move(outcome);
              over = true;
            });
      },
      over);
  return out;
}

heddle::Result<std::shared_ptr<SessionCore>> PluginCore::open_session() {
  return SessionCore::create(shared_from_this());
}

PluginStats PluginCore::stats() const {
  const extension::PluginStats from = plugin_->stats();
  const std::uint64_t refused = refused_.load(std::memory_order_relaxed);
  return {.calls = from.calls,
          .errors = from.errors,
          .limit_hits = from.limit_hits + refused,
          .instances = from.instances,
          .queued = gate_.queued(),
          .cpu_seconds = from.cpu_seconds,
          .average_call_us = from.average_call_us,
          .last_error = from.last_error};
}

void PluginCore::on_log(std::string_view line) {
  tell(host_->options().on_log, options_.name, line);
}

void PluginCore::on_notification(std::string_view method, std::string_view params) {
  if (!host_->options().on_notification) return;
  if (const auto value = Json::parse(params)) {
    tell(host_->options().on_notification, options_.name, method, *value);
  }
}

}  // namespace heddle::v1::internal

namespace heddle::v1 {

Result<Json> Plugin::call(std::string_view method, const Json& params) const {
  auto text = library::params_text(params);
  if (!text) return std::unexpected(std::move(text.error()));
  return internal::to_answer(core_->call(method, std::move(*text)));
}

Result<std::string> Plugin::call_text(std::string_view method, std::string_view params) const {
  if (auto text = library::checked_json(params); !text) return std::unexpected(text.error());
  auto outcome = core_->call(method, std::string(params));
  if (!outcome.ok) return std::unexpected(library::to_public(std::move(outcome.error)));
  return std::move(outcome.result);
}

// `done` may destroy this plugin from within.
// NOLINTNEXTLINE(performance-unnecessary-value-param): as the public header has it
PendingCall Plugin::call(std::string_view method, Json params, Done done) const {
  auto text = library::params_text(params);
  auto pending = std::make_shared<internal::PendingCore>(
      core_, method, text ? std::move(*text) : "", std::move(done));
  if (text) {
    pending->start();
  } else {
    pending->refuse(std::move(text.error()));
  }
  return PendingCall(std::move(pending));
}

Result<Session> Plugin::open_session() const {
  auto session = core_->open_session();
  if (!session) return std::unexpected(library::to_public(std::move(session.error())));
  return Session(std::move(*session));
}

PluginStats Plugin::stats() const {
  return core_->stats();
}

const std::string& Plugin::name() const {
  return core_->options().name;
}

}  // namespace heddle::v1
