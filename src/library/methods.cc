#include "library/methods.h"

#include <exception>
#include <utility>

#include "library/errors.h"
#include "library/json_access.h"
#include "library/reply.h"
#include "services/pending_call.h"

namespace heddle::library {
namespace {

using Function = std::variant<v1::Method, v1::AsyncMethod>;

v1::Error exception_error(const char* what) {
  return {.kind = v1::ErrorKind::kInternal, .message = what};
}

// What the program's code throws must not reach the guest's frames.
services::Pending run(const v1::Method& function, const json_rpc::HostRequest& request,
                      json_rpc::HostMethods::Reply reply) {
  v1::Result<v1::Json> answer;
  try {
    answer = function(v1::JsonAccess::view(request.params));
  } catch (const std::exception& failure) {
    answer = std::unexpected(exception_error(failure.what()));
  } catch (...) {
    answer = std::unexpected(exception_error("an unknown exception"));
  }
  reply(to_outcome(answer));
  return nullptr;
}

services::Pending run(const std::shared_ptr<const Function>& owner, const v1::AsyncMethod& function,
                      const json_rpc::HostRequest& request, json_rpc::HostMethods::Reply reply) {
  auto completion = v1::internal::ReplyCore::Completion::create(
      request.worker,
      [reply = std::move(reply)](heddle::Result<extension::RpcOutcome> outcome) mutable {
        reply(std::move(*outcome));
      });
  auto pending = completion->handle();
  const v1::Reply out(std::make_shared<v1::internal::ReplyCore>(std::move(completion), owner));
  try {
    function(v1::Json(v1::JsonAccess::view(request.params)), out);
  } catch (const std::exception& failure) {
    out.send(std::unexpected(exception_error(failure.what())));
  } catch (...) {
    out.send(std::unexpected(exception_error("an unknown exception")));
  }
  return pending;
}

json_rpc::HostMethods::Method to_method(const std::shared_ptr<const Function>& function) {
  if (std::holds_alternative<v1::Method>(*function)) {
    return [function](const json_rpc::HostRequest& request, json_rpc::HostMethods::Reply reply) {
      return run(std::get<v1::Method>(*function), request, std::move(reply));
    };
  }
  return [function](const json_rpc::HostRequest& request, json_rpc::HostMethods::Reply reply) {
    return run(function, std::get<v1::AsyncMethod>(*function), request, std::move(reply));
  };
}

}  // namespace

void Methods::add(std::string name, Function function) {
  const std::lock_guard lock(mutex_);
  functions_[std::move(name)] = std::make_shared<const Function>(std::move(function));
  snapshot_ = nullptr;
}

std::shared_ptr<const json_rpc::HostMethods> Methods::snapshot() const {
  const std::lock_guard lock(mutex_);
  if (!snapshot_) {
    auto made = std::make_shared<json_rpc::HostMethods>();
    for (const auto& [name, function] : functions_) made->add(name, to_method(function));
    snapshot_ = std::move(made);
  }
  return snapshot_;
}

}  // namespace heddle::library

namespace heddle::v1 {

void Reply::send(Result<Json> answer) const {
  core_->send(answer);
}

bool Reply::cancelled() const {
  return core_->cancelled();
}

}  // namespace heddle::v1
