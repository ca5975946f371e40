#include "cli/plugin_versions.h"

#include <algorithm>
#include <utility>

namespace heddle::cli {

namespace {

// What the caller holds is the only reference that counts: a hook may take its time to end, and a
// message that still goes through it must not make a worker the last to let go of it.
bool is_ready(const PluginVersions::Version& version) {
  if (!version->retire()) return false;
  const bool is_hook = version->message_hook() != nullptr;
  return !is_hook || version.use_count() == 1;
}

}  // namespace

bool PluginVersions::started(const Version& version) const {
  return std::ranges::any_of(started_, [&](const auto& known) { return known.lock() == version; });
}

// One reload may follow the other before refresh() is called, and a weak pointer keeps the memory
// of what has gone.
void PluginVersions::add(const Version& version) {
  forget_ended();
  started_.emplace_back(version);
}

std::vector<PluginVersions::Version> PluginVersions::leaving(const plugins::PluginSet& next) const {
  std::vector<Version> out;
  for (const auto& known : started_) {
    Version version = known.lock();
    const bool serves = std::ranges::any_of(next.plugins, [&](const plugins::ActivePlugin& active) {
      return active.enabled && active.plugin == version;
    });
    if (version != nullptr && !serves) out.push_back(std::move(version));
  }
  return out;
}

void PluginVersions::retire(std::vector<Version> versions, std::chrono::milliseconds time) {
  const Nanoseconds until = monotonic_now() + to_nanoseconds(time);
  for (Version& version : versions) {
    const auto known = std::ranges::find(retiring_, version, &Retiring::version);
    if (known == retiring_.end() && !is_ready(version))
      retiring_.push_back({std::move(version), until});
  }
}

void PluginVersions::refresh() {
  const Nanoseconds now = monotonic_now();
  std::erase_if(retiring_,
                [now](const Retiring& one) { return is_ready(one.version) || one.until <= now; });
  forget_ended();
}

void PluginVersions::forget_ended() {
  std::erase_if(started_, [](const auto& known) { return known.expired(); });
}

// All of them are asked, whatever the first ones say: they get ready side by side.
bool PluginVersions::retire_all() {
  return std::ranges::count_if(started_, [](const auto& known) {
           const Version version = known.lock();
           return version != nullptr && !version->retire();
         }) == 0;
}

void PluginVersions::clear() {
  retiring_.clear();
  started_.clear();
}

}  // namespace heddle::cli
