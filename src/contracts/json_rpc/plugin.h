// A loaded version of a JSON-RPC plugin: starts nothing ahead of its calls, each of which has an
// instance of its own.
#pragma once

#include <memory>
#include <utility>

#include "contracts/json_rpc/version.h"
#include "extension/plugin_contract.h"
#include "extension/rpc_target.h"

namespace heddle::json_rpc {

class Plugin final : public extension::LoadedPlugin {
 public:
  explicit Plugin(std::shared_ptr<Version> version);
  ~Plugin() override;

  std::string_view kind() const override { return "json_rpc"; }
  Result<void> start(net::Worker& /*worker*/) override { return {}; }
  void stop(net::Worker& /*worker*/) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override { return nullptr; }
  std::shared_ptr<extension::RpcTarget> rpc_target() override { return target_; }
  extension::PluginStats stats() const override;
  const std::shared_ptr<Version>& version() const { return version_; }

 private:
  std::shared_ptr<Version> version_;
  std::shared_ptr<extension::RpcTarget> target_;
};

}  // namespace heddle::json_rpc
