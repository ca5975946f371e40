#include "plugins/directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/formats.h"
#include "plugins/package.h"

namespace heddle::plugins {

namespace fs = std::filesystem;

std::vector<config::Plugin> scan_directory(const std::string& directory, bool native, Log* log) {
  std::vector<config::Plugin> out;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    std::error_code gone;  // it may be deleted while we look
    const bool shared_object = native && path.extension() == ".so" &&
                               !path.filename().native().starts_with('.') &&
                               it->is_regular_file(gone);
    if (!shared_object && !is_package(path.string())) continue;
    config::Plugin plugin;
    plugin.name = fs::is_directory(path, gone) ? path.filename().string() : path.stem().string();
    plugin.path = path.string();
    if (const auto complaint = config::check_name(plugin.name)) {
      if (log != nullptr) {
        log->warn("file in plugin directory left out: its name cannot name a plugin; rename it",
                  {{"path", plugin.path}});
      }
      continue;
    }
    out.push_back(std::move(plugin));
  }
  if (error && log != nullptr) {
    log->warn("plugin directory cannot be read; create it or make it readable",
              {{"path", directory}, {"error", error.message()}});
  }
  std::ranges::sort(out, {}, &config::Plugin::name);
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
