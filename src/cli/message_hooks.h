// From the plugins that serve to the hooks of the message service.
#pragma once

#include "extension/message_hook_chain.h"
#include "plugins/plugin_set.h"

namespace heddle::cli {

// Whether the plugin is of a kind that fills MessageHook, loaded or not: it is no filter of
// requests.
bool is_message_hook(const plugins::ActivePlugin& plugin);

// The enabled ones. One that is not loaded and does not fail open by its `on_failure` stands there
// as a hook that rejects; any other one is left out.
void publish_message_hooks(const plugins::PluginSet& set, extension::MessageHooks& hooks);

}  // namespace heddle::cli
