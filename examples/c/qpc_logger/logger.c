/* Writes a line for every event to standard error, which the sandbox turns into log lines. Keys and
 * contents stay out of it. Builds as a shared object and, unchanged, for wasm32. */
#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>

static int32_t on_message_enqueue(void *user_data, const CMessageEvent *event) {
  (void)user_data;
  fprintf(stderr, "message %llu of %lu bytes, sender %s\n", (unsigned long long)event->seq,
          (unsigned long)event->payload_len, event->sender_identity == NULL ? "sealed" : "known");
  return HOOK_CONTINUE;
}

static void on_batch_enqueue(void *user_data, const CMessageEvent *events, size_t count) {
  (void)user_data;
  (void)events;
  fprintf(stderr, "batch of %lu messages\n", (unsigned long)count);
}

static void on_auth(void *user_data, const CAuthEvent *event) {
  (void)user_data;
  fprintf(stderr, "login of %s: %s\n", (const char *)event->username,
          event->success ? "ok" : (const char *)event->failure_reason);
}

static void on_channel_created(void *user_data, const CChannelEvent *event) {
  (void)user_data;
  fprintf(stderr, "channel %s\n", event->was_new ? "made" : "looked up");
}

static void on_fetch(void *user_data, const CFetchEvent *event) {
  (void)user_data;
  fprintf(stderr, "%lu messages fetched\n", (unsigned long)event->message_count);
}

static void on_user_registered(void *user_data, const uint8_t *username, size_t username_len,
                               const uint8_t *identity_key, size_t identity_key_len) {
  (void)user_data;
  (void)identity_key;
  fprintf(stderr, "registered %.*s with a key of %lu bytes\n", (int)username_len,
          (const char *)username, (unsigned long)identity_key_len);
}

static void on_shutdown(void *user_data) {
  (void)user_data;
  fputs("the server shuts down\n", stderr);
}

int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->on_batch_enqueue = on_batch_enqueue;
  vtable->on_auth = on_auth;
  vtable->on_channel_created = on_channel_created;
  vtable->on_fetch = on_fetch;
  vtable->on_user_registered = on_user_registered;
  vtable->on_shutdown = on_shutdown;
  return PLUGIN_OK;
}
