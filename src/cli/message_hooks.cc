#include "cli/message_hooks.h"

#include <filesystem>
#include <utility>

namespace heddle::cli {

void publish_message_hooks(const plugins::PluginSet& set, extension::MessageHooks& hooks) {
  std::vector<std::shared_ptr<extension::MessageHook>> out;
  for (const plugins::ActivePlugin& active : set.plugins) {
    if (!active.enabled || !is_message_hook(active)) continue;
    if (active.plugin) {
      if (auto hook = active.plugin->message_hook()) out.push_back(std::move(hook));
    } else if (rejects_messages(active)) {
      const std::filesystem::path path(active.path);
      out.push_back(extension::make_refusing_hook(active.name, path.filename().string()));
    }
  }
  hooks.publish(std::move(out));
}

}  // namespace heddle::cli
