// What a plugin is allowed to import and to export (`permissions.capabilities`, Envoy's
// allowed_capabilities): names of host calls, of WASI functions and of callbacks. An empty list
// allows everything. What is missing behaves as in Envoy: a host call returns INTERNAL_FAILURE, a
// WASI function ENOTCAPABLE, a callback is never called.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "contracts/proxy_wasm/module_check.h"
#include "sandbox/host_function.h"
#include "sandbox/module.h"

namespace heddle::proxy_wasm {

class Capabilities {
 public:
  // Both outlive this object.
  Capabilities(const std::vector<std::string>& allowed, const sandbox::Module& module)
      : allowed_(allowed), module_(module) {}

  // Every name means something; the error gives the one that does not.
  Result<void> check() const;
  bool allows(std::string_view name) const;
  // Takes away the callbacks that are not allowed.
  void restrict(ModuleTraits& traits) const;
  // What stands in for an import that is not allowed; null for the others.
  const sandbox::HostFunction* stand_in(std::string_view module, std::string_view name) const;

 private:
  const std::vector<std::string>& allowed_;
  const sandbox::Module& module_;
};

// Whether Envoy, and Heddle, know a capability of this name.
bool is_capability(std::string_view name);

}  // namespace heddle::proxy_wasm
