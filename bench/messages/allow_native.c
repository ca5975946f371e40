/* A native_hook that looks at nothing and allows every message. */
#include <heddle/abi/qpc_plugin.h>

static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  (void)data;
  (void)event;
  return HOOK_CONTINUE;
}

int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->on_message_enqueue = on_message_enqueue;
  return PLUGIN_OK;
}
