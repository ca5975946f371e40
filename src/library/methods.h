// The host's methods, as plugins see them: the program's functions behind json_rpc::HostMethods.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>

#include "contracts/json_rpc/host_methods.h"
#include "heddle/host.h"

namespace heddle::library {

// Grows while the program registers; each plugin gets the table as it was when it was loaded. Any
// thread.
class Methods {
 public:
  using Function = std::variant<v1::Method, v1::AsyncMethod>;

  void add(std::string name, Function function);
  std::shared_ptr<const json_rpc::HostMethods> snapshot() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const Function>> functions_;
  mutable std::shared_ptr<const json_rpc::HostMethods> snapshot_;  // null: to be made
};

}  // namespace heddle::library
