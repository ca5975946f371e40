// What stands behind heddle::Plugin: a loaded JSON-RPC plugin, and its calls. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "contracts/json_rpc/plugin.h"
#include "extension/rpc_target.h"
#include "heddle/host.h"
#include "library/gate.h"
#include "library/host_core.h"

namespace heddle::v1::internal {

class PluginCore final : public extension::RpcCaller,
                         public std::enable_shared_from_this<PluginCore> {
 public:
  static heddle::Result<std::shared_ptr<PluginCore>> create(std::shared_ptr<HostCore> host,
                                                            std::span<const std::byte> module,
                                                            PluginOptions options);
  PluginCore(std::shared_ptr<HostCore> host, PluginOptions options,
             std::shared_ptr<const json_rpc::HostMethods> methods,
             std::shared_ptr<json_rpc::Plugin> plugin);

  // On the calling thread. `params` is JSON.
  extension::RpcOutcome call(std::string_view method, std::string params);
  heddle::Result<std::shared_ptr<SessionCore>> open_session();

  const PluginOptions& options() const { return options_; }
  PluginStats stats() const;
  HostCore& host() { return *host_; }
  library::Gate& gate() { return gate_; }
  json_rpc::Plugin& plugin() { return *plugin_; }
  // What a call that finds no place gets.
  extension::RpcError no_place(bool waited);

  // extension::RpcCaller
  void on_notification(std::string_view method, std::string_view params) override;
  void on_log(std::string_view line) override;

 private:
  std::shared_ptr<HostCore> host_;
  PluginOptions options_;
  std::shared_ptr<const json_rpc::HostMethods> methods_;
  std::shared_ptr<json_rpc::Plugin> plugin_;
  library::Gate gate_;
  std::atomic<std::uint64_t> refused_ = 0;
};

// Whether this thread runs an event of a host now: then it must not wait for other calls, which may
// be waiting for it.
bool within_an_event();

Result<Json> to_answer(extension::RpcOutcome outcome);

}  // namespace heddle::v1::internal
