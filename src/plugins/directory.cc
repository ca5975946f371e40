#include "plugins/directory.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "config/formats.h"

namespace heddle::plugins {

namespace fs = std::filesystem;

std::vector<config::Plugin> scan_directory(const std::string& directory, bool native, Log* log) {
  std::vector<config::Plugin> out;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    const bool taken = path.extension() == ".wasm" || (native && path.extension() == ".so");
    if (!taken || path.filename().native().starts_with('.')) continue;
    std::error_code gone;  // it may be deleted while we look
    if (!it->is_regular_file(gone) || gone) continue;
    config::Plugin plugin;
    plugin.name = path.stem().string();
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

}  // namespace heddle::plugins
