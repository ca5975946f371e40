#include "library/session_core.h"

#include <system_error>
#include <utility>

#include "library/errors.h"

namespace heddle::v1::internal {
namespace {

constexpr std::size_t kIndex = 0;  // of every session's worker: it keeps nothing by its index

}  // namespace

heddle::Result<std::shared_ptr<SessionCore>> SessionCore::create(
    std::shared_ptr<PluginCore> plugin) {
  try {
    return std::make_shared<SessionCore>(std::move(plugin));
  } catch (const std::system_error& failure) {
    return heddle::fail(heddle::ErrorKind::kUnavailable,
                        std::string("cannot make an event loop: ") + failure.what());
  }
}

SessionCore::SessionCore(std::shared_ptr<PluginCore> plugin)
    : plugin_(std::move(plugin)),
      worker_(kIndex, plugin_->host().log()),
      session_(std::make_unique<json_rpc::Session>(plugin_->plugin().version(), worker_,
                                                   plugin_.get())) {}

// The guest ends in an event of its worker.
SessionCore::~SessionCore() {
  bool done = false;
  worker_.run_here(
      [&] {
        session_.reset();
        worker_.defer([&] { done = true; });
      },
      done);
}

// A call from within a host method never waits for the one that has the session: that may be its
// own, or one that waits for it.
extension::RpcOutcome SessionCore::call(std::string_view method, std::string_view params) {
  if (!within_an_event()) {
    free_.acquire();
  } else if (!free_.try_acquire()) {
    return json_rpc::failure(library::call_error(
        extension::RpcError::kResourceUnavailable,
        "a host method called a session that is in a call; use Plugin::call()", "session_busy"));
  }
  const auto leave = [](std::binary_semaphore* free) { free->release(); };
  const std::unique_ptr<std::binary_semaphore, decltype(leave)> place(&free_, leave);
  extension::RpcOutcome out;
  bool done = false;
  worker_.run_here(
      [&] {
        session_->call(method, params, [&](extension::RpcOutcome outcome) {
          out = std::move(outcome);
          done = true;
        });
      },
      done);
  over_ = session_->over();
  return out;
}

}  // namespace heddle::v1::internal

namespace heddle::v1 {

Result<Json> Session::call(std::string_view method, const Json& params) const {
  const auto text = library::params_text(params);
  if (!text) return std::unexpected(text.error());
  const auto core = core_;  // a host method may let go of this session
  return internal::to_answer(core->call(method, *text));
}

Result<std::string> Session::call_text(std::string_view method, std::string_view params) const {
  if (auto text = library::checked_json(params); !text) return std::unexpected(text.error());
  const auto core = core_;
  auto outcome = core->call(method, params);
  if (!outcome.ok) return std::unexpected(library::to_public(std::move(outcome.error)));
  return std::move(outcome.result);
}

bool Session::alive() const {
  return core_->alive();
}

}  // namespace heddle::v1
