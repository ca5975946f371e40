#include "cli/certificates.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace heddle::cli {

Certificates::Certificates(ControlLoop& control, Log& log, std::function<void()> changed)
    : control_(control), log_(log), changed_(std::move(changed)) {}

bool Certificates::load(std::shared_ptr<const config::Config> config,
                        std::vector<config::Problem>& problems) {
  State before = now_;
  gateway::TlsStore::Loaded loaded = now_.store.load(*config);
  log_problems(loaded.problems);
  std::ranges::move(loaded.problems, std::back_inserter(problems));
  if (!loaded.contexts) return false;
  before_ = std::move(before);
  now_.config = std::move(config);
  now_.contexts = std::move(loaded.contexts);
  return true;
}

void Certificates::take_back() {
  now_ = std::exchange(before_, {});
}

void Certificates::watch() {
  std::vector<std::string> directories = gateway::TlsStore::directories(*now_.config);
  if (directories == directories_) return;
  watcher_.reset();
  directories_ = directories;
  if (directories.empty()) return;
  auto watcher = plugins::Watcher::create(
      std::move(directories), [this] { control_.post([this] { reload(); }); }, log_);
  if (!watcher) {
    log_.error("certificates are not watched; SIGHUP reloads them",
               {{"error", watcher.error().message}});
    return;
  }
  watcher_ = std::move(*watcher);
  reload();  // what changed before it was watched
}

void Certificates::reload() {
  gateway::TlsStore::Loaded loaded = now_.store.load(*now_.config);
  if (loaded.contexts && !loaded.changed) return;
  log_problems(loaded.problems);
  if (!loaded.contexts) {
    log_.warn("changed certificates cannot be used; those in force stay");
    return;
  }
  now_.contexts = std::move(loaded.contexts);
  changed_();
  log_.info("certificates reloaded");
}

void Certificates::log_problems(const std::vector<config::Problem>& problems) {
  for (const config::Problem& problem : problems) log_.warn(to_string(problem));
}

}  // namespace heddle::cli
