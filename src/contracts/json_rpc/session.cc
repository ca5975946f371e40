#include "contracts/json_rpc/session.h"

#include <fmt/format.h>

#include <utility>

#include "contracts/json_rpc/call.h"
#include "contracts/json_rpc/call_errors.h"
#include "net/worker.h"

namespace heddle::json_rpc {

Session::Session(std::shared_ptr<Version> version, net::Worker& worker,
                 extension::RpcCaller* caller)
    : version_(std::move(version)), worker_(worker), caller_(caller) {}

Session::~Session() {
  if (call_) call_->cancel();
}

bool Session::over() const {
  return call_ && call_->over();
}

void Session::call(std::string_view method, std::string_view params,
                   extension::RpcTarget::Done done) {
  const std::size_t most = version_->spec.body_limit;
  if (over() || params.size() > most) {
    RpcError error =
        over() ? rpc_error(RpcError::kResourceUnavailable,
                           "the plugin has ended; open a new session", "session_over")
               : limit_error("params_limit", fmt::format("params of more than {} bytes", most));
    return worker_.defer([done = std::move(done), error = std::move(error)]() mutable {
      done(failure(std::move(error)));
    });
  }
  if (call_) return call_->again(method, params, std::move(done));
  call_ = std::make_shared<Call>(
      version_, worker_,
      extension::RpcCall{
          .method = std::string(method), .params = std::string(params), .caller = caller_},
      std::move(done));
  call_->open();
}

}  // namespace heddle::json_rpc
