// The versions of plugins that were started on the workers: those that serve, and those that served
// and are not ready yet with what they took on beside exchanges. Control thread.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "base/clock.h"
#include "extension/plugin_contract.h"
#include "plugins/plugin_set.h"

namespace heddle::cli {

class PluginVersions {
 public:
  using Version = std::shared_ptr<extension::LoadedPlugin>;

  bool started(const Version& version) const;
  void add(const Version& version);

  // Those that serve, but not in `next`. To be kept while what uses them goes.
  std::vector<Version> leaving(const plugins::PluginSet& next) const;
  // Gives them time to get ready, at most this long; refresh() lets go of them.
  void retire(std::vector<Version> versions, std::chrono::milliseconds time);
  void refresh();

  // Of all of them, when the server ends: whether they are ready.
  bool retire_all();
  // Lets go of all.
  void clear();

 private:
  struct Retiring {
    Version version;
    Nanoseconds until = 0;
  };

  void forget_ended();

  std::vector<std::weak_ptr<extension::LoadedPlugin>> started_;
  std::vector<Retiring> retiring_;
};

}  // namespace heddle::cli
