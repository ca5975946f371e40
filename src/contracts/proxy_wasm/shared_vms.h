// Which plugins share their VMs: those of one vm_id (not the empty one), with the same vm_config,
// code, environment and capabilities. Each has a root context of its own in the VM of a worker.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "extension/per_worker.h"
#include "extension/plugin_contract.h"

namespace heddle::proxy_wasm {

class Vm;

// The VM of each worker, by its index; each place is touched by its worker only.
class VmPlaces {
 public:
  std::weak_ptr<Vm>& at(std::size_t worker) { return places_.at(worker); }

 private:
  friend class SharedVms;
  extension::PerWorker<std::weak_ptr<Vm>> places_;
  // Versions that share, by plugin name; under the mutex of SharedVms.
  std::vector<std::pair<std::string, std::weak_ptr<const void>>> members_;
};

// Any thread. Owned by the contract.
class SharedVms {
 public:
  // The places of this version, which counts as a member while `version` lives. A plugin joins
  // others that are there, but not its own former version: reloading it alone gives a fresh VM.
  std::shared_ptr<VmPlaces> join(const extension::PluginSpec& spec, const std::string& code,
                                 const std::shared_ptr<const void>& version);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<VmPlaces>> shared_;
};

}  // namespace heddle::proxy_wasm
