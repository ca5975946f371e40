// A call that answers through a callback: waits at the plugin's gate, then runs on a thread of the
// host. Keeps itself and its plugin until the callback came.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "extension/rpc_target.h"
#include "heddle/host.h"
#include "library/gate.h"
#include "library/plugin_core.h"

namespace heddle::v1::internal {

class PendingCore final : public std::enable_shared_from_this<PendingCore> {
 public:
  PendingCore(std::shared_ptr<PluginCore> plugin, std::string_view method, std::string params,
              Plugin::Done done);

  // One of the two, once.
  void start();
  void refuse(Error error);
  void cancel();  // any thread

 private:
  void run();   // on the worker
  void stop();  // on the worker
  void finish(extension::RpcOutcome outcome);
  void deliver(Result<Json> answer);
  void deliver(extension::RpcOutcome outcome) { deliver(to_answer(std::move(outcome))); }

  std::shared_ptr<PluginCore> plugin_;
  net::Worker* worker_;  // null: there is no thread to run it
  std::string method_;
  std::string params_;
  Plugin::Done done_;
  std::atomic<bool> delivered_ = false;
  std::weak_ptr<library::Gate::Waiter> waiter_;  // set in start()
  // The worker's thread only:
  std::unique_ptr<extension::RpcTarget::Handle> handle_;
  bool over_ = false;
};

}  // namespace heddle::v1::internal
