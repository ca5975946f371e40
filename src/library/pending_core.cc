#include "library/pending_core.h"

#include <utility>

#include "library/errors.h"

namespace heddle::v1::internal {
namespace {

extension::RpcOutcome cancelled() {
  return json_rpc::failure(library::call_error(extension::RpcError::kInternalError,
                                               "the call was cancelled", "cancelled"));
}

}  // namespace

PendingCore::PendingCore(std::shared_ptr<PluginCore> plugin, std::string_view method,
                         std::string params, Plugin::Done done)
    : plugin_(std::move(plugin)),
      worker_(plugin_->host().next_thread()),
      method_(method),
      params_(std::move(params)),
      done_(std::move(done)) {}

void PendingCore::start() {
  if (worker_ == nullptr) {
    return deliver(json_rpc::failure(library::call_error(
        extension::RpcError::kResourceUnavailable, "the system has no more threads", "threads")));
  }
  const auto waiter = std::make_shared<library::Gate::Waiter>(
      [self = shared_from_this()] { self->worker_->post([self] { self->run(); }); });
  waiter_ = waiter;
  switch (plugin_->gate().enter(waiter)) {
    case library::Gate::Entry::kEntered:
      return waiter->go();
    case library::Gate::Entry::kQueued:
      return;
    case library::Gate::Entry::kRefused:
      return deliver(json_rpc::failure(plugin_->no_place(true)));
  }
}

void PendingCore::refuse(Error error) {
  deliver(Result<Json>(std::unexpected(std::move(error))));
}

void PendingCore::cancel() {
  if (worker_ == nullptr) return;
  if (const auto waiter = waiter_.lock(); waiter && plugin_->gate().withdraw(waiter)) {
    return deliver(cancelled());
  }
  worker_->post([self = shared_from_this()] { self->stop(); });
}

void PendingCore::run() {
  if (over_) return plugin_->gate().leave();
  handle_ = plugin_->plugin().rpc_target()->call(
      *worker_,
      {.method = std::move(method_), .params = std::move(params_), .caller = plugin_.get()},
      [self = shared_from_this()](extension::RpcOutcome outcome) {
        self->finish(std::move(outcome));
      });
}

void PendingCore::stop() {
  if (over_) return;
  if (handle_) return finish(cancelled());
  over_ = true;  // before its turn: run() gives the place back
  deliver(cancelled());
}

void PendingCore::finish(extension::RpcOutcome outcome) {
  over_ = true;
  handle_.reset();
  plugin_->gate().leave();
  deliver(std::move(outcome));
}

void PendingCore::deliver(Result<Json> answer) {
  if (delivered_.exchange(true)) return;
  if (auto done = std::exchange(done_, nullptr)) done(std::move(answer));
}

}  // namespace heddle::v1::internal

namespace heddle::v1 {

void PendingCall::cancel() const {
  core_->cancel();
}

}  // namespace heddle::v1
