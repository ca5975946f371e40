// What stands behind heddle::Session: one guest and the worker without a thread on which it lives.
// Any thread; one call at a time.
#pragma once

#include <atomic>
#include <memory>
#include <semaphore>
#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/json_rpc/session.h"
#include "library/plugin_core.h"
#include "net/worker.h"

namespace heddle::v1::internal {

class SessionCore {
 public:
  static heddle::Result<std::shared_ptr<SessionCore>> create(std::shared_ptr<PluginCore> plugin);
  explicit SessionCore(std::shared_ptr<PluginCore> plugin);
  ~SessionCore();
  SessionCore(const SessionCore&) = delete;
  SessionCore& operator=(const SessionCore&) = delete;

  // `params` is JSON.
  extension::RpcOutcome call(std::string_view method, std::string_view params);
  bool alive() const { return !over_.load(); }

 private:
  std::shared_ptr<PluginCore> plugin_;
  net::Worker worker_;
  std::unique_ptr<json_rpc::Session> session_;
  std::binary_semaphore free_{1};  // taken for the whole of a call
  std::atomic<bool> over_ = false;
};

}  // namespace heddle::v1::internal
