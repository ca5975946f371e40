// From the plugins that serve to the hooks of the message service.
#pragma once

#include "extension/message_hook_chain.h"
#include "plugins/plugin_set.h"

namespace heddle::cli {

// The enabled ones. One that is not loaded and does not fail open by its `on_failure` stands there
// as a hook that rejects; any other one is left out.
void publish_message_hooks(const plugins::PluginSet& set, extension::MessageHooks& hooks);

}  // namespace heddle::cli
