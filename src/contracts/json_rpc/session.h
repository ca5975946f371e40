// One guest that serves several calls, one after the other, and keeps its state between them: for
// programs that read request after request until standard input ends. Outside of the lanes; who
// makes sessions bounds them. Belongs to one worker.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "contracts/json_rpc/version.h"
#include "extension/rpc_target.h"

namespace heddle::json_rpc {

class Call;

class Session {
 public:
  // `caller` outlives the session; may be null.
  Session(std::shared_ptr<Version> version, net::Worker& worker, extension::RpcCaller* caller);
  ~Session();  // ends the guest
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // The first call starts the guest. One at a time: not before the former's `done`, which comes
  // when the event that runs has ended, or later. Limits count for each call.
  void call(std::string_view method, std::string_view params, extension::RpcTarget::Done done);
  // The guest is gone: every further call fails with cause "session_over".
  bool over() const;

 private:
  std::shared_ptr<Version> version_;
  net::Worker& worker_;
  extension::RpcCaller* caller_;
  std::shared_ptr<Call> call_;  // null: not started
};

}  // namespace heddle::json_rpc
