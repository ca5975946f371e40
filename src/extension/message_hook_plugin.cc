#include "extension/message_hook_plugin.h"

namespace heddle::extension {

HookFailure hook_failure(const PluginSpec& spec) {
  if (!spec.on_failure_given || spec.on_failure == FailurePolicy::kOpen) {
    return {.verdict = {}, .consequence = "the message goes on (on_failure: open)"};
  }
  return {.verdict = {.allowed = false, .reason = "the plugin failed", .plugin = spec.name},
          .consequence = "the message is rejected (on_failure)"};
}

MessageHookPlugin::MessageHookPlugin(const PluginSpec& spec)
    : name_(spec.name),
      file_name_(spec.path.substr(spec.path.rfind('/') + 1)),
      failure_(hook_failure(spec)) {}

}  // namespace heddle::extension
