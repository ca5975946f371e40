// The certificates of the configuration in force: loaded with it, and again whenever one of their
// files changes. Control thread only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/log.h"
#include "cli/control_loop.h"
#include "config/config.h"
#include "config/reader.h"
#include "gateway/tls_contexts.h"
#include "plugins/watcher.h"

namespace heddle::cli {

class Certificates {
 public:
  // `changed` is called when other certificates are in force because files changed.
  Certificates(ControlLoop& control, Log& log, std::function<void()> changed);

  // Takes what `config` asks for and appends the problems; false: it has errors, and what was in
  // force stays.
  bool load(std::shared_ptr<const config::Config> config, std::vector<config::Problem>& problems);
  // Back to what was in force before the last load(), as it was: no file is read.
  void take_back();
  // Looks for changed files from now on; after each load().
  void watch();
  void stop_watching() { watcher_.reset(); }

  const std::shared_ptr<const gateway::TlsContexts>& contexts() const { return now_.contexts; }

 private:
  void reload();
  void log_problems(const std::vector<config::Problem>& problems);

  ControlLoop& control_;
  Log& log_;
  std::function<void()> changed_;
  struct State {
    gateway::TlsStore store;
    std::shared_ptr<const config::Config> config;
    std::shared_ptr<const gateway::TlsContexts> contexts;
  };
  State now_;
  State before_;                          // of the last load()
  std::vector<std::string> directories_;  // that are watched
  std::unique_ptr<plugins::Watcher> watcher_;
};

}  // namespace heddle::cli
