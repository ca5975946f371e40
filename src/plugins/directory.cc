#include "plugins/directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/formats.h"
#include "plugins/package.h"

namespace heddle::plugins {

namespace fs = std::filesystem;

namespace {

bool is_plugin(const fs::directory_entry& entry, const config::PluginDirectory& directory,
               std::error_code& unreadable) {
  const fs::path& path = entry.path();
  const bool hidden = path.filename().native().starts_with('.');
  std::error_code gone;  // it may be deleted while we look
  if (!directory.kind.empty()) {
    return path.extension() == ".wasm" && !hidden && entry.is_regular_file(gone);
  }
  const bool shared_object =
      directory.native && path.extension() == ".so" && !hidden && entry.is_regular_file(gone);
  return shared_object || is_package(path.string(), unreadable);
}

config::Plugin entry_of(const fs::path& path, const config::PluginDirectory& directory) {
  config::Plugin out;
  std::error_code gone;
  out.name = fs::is_directory(path, gone) ? path.filename().string() : path.stem().string();
  out.path = path.string();
  out.location.file = directory.path;
  if (directory.kind.empty()) return out;
  out.kind = directory.kind;
  out.timeout = directory.timeout;
  out.memory_limit = directory.memory_limit;
  out.memory_limit_given = true;
  return out;
}

}  // namespace

DirectoryScan scan_directory(const config::PluginDirectory& directory, Log* log) {
  DirectoryScan out;
  std::error_code error;
  for (fs::directory_iterator it(directory.path, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code unreadable;
    const bool plugin_there = is_plugin(*it, directory, unreadable);
    if (unreadable) out.unreadable.push_back({it->path().string(), unreadable.message()});
    if (!plugin_there) continue;
    config::Plugin plugin = entry_of(it->path(), directory);
    if (const auto complaint = config::check_name(plugin.name)) {
      if (log != nullptr) {
        log->warn("file in plugin directory left out: its name cannot name a plugin; rename it",
                  {{"path", plugin.path}});
      }
      continue;
    }
    out.plugins.push_back(std::move(plugin));
  }
  const bool absent = error == std::errc::no_such_file_or_directory;
  if (error && !absent) out.unreadable.push_back({directory.path, error.message()});
  if (absent && log != nullptr) {
    log->warn("there is no such plugin directory; create it", {{"path", directory.path}});
  }
  std::ranges::sort(out.plugins, {}, &config::Plugin::name);
  return out;
}

std::vector<std::string> folders_in(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::error_code gone;
    const bool hidden = it->path().filename().native().starts_with('.');
    if (!hidden && fs::is_directory(it->path(), gone)) out.push_back(it->path().string());
  }
  std::ranges::sort(out);
  return out;
}

}  // namespace heddle::plugins
