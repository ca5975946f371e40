// The JSON-RPC plugins that serve now, by name: published by whoever runs the registry, asked by
// the gateway and by plugins that call each other. Any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "extension/rpc_target.h"

namespace heddle::extension {

class RpcTargets {
 public:
  using Map = std::map<std::string, std::shared_ptr<RpcTarget>, std::less<>>;

  // Null: no JSON-RPC plugin of this name serves.
  std::shared_ptr<RpcTarget> find(std::string_view plugin) const {
    const std::lock_guard lock(mutex_);
    const auto found = targets_.find(plugin);
    return found == targets_.end() ? nullptr : found->second;
  }
  void publish(Map targets) {
    {
      const std::lock_guard lock(mutex_);
      targets_.swap(targets);
    }  // the former ones go outside of the lock
  }

 private:
  mutable std::mutex mutex_;
  Map targets_;
};

}  // namespace heddle::extension
