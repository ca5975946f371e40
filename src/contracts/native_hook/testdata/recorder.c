/* A plugin for the tests, the same for all isolations: remembers what it was told, and shows it as
 * the reason of a rejection. What on_message_enqueue does is chosen by payload_len. */
#include <heddle/abi/qpc_plugin.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOW 0       /* reject, with everything that was told since the last SHOW */
#define SEVEN 7      /* return 7 */
#define NO_REASON 8  /* reject, and error_message gives NULL */
#define CRASH 66     /* abort */
#define LOOP 67      /* never return */
#define GROW 68      /* take memory until there is none */

struct state {
  char told[4096];
  char reason[4096];
  const char *message;
};

static void tell(struct state *state, const char *text) {
  if (strlen(state->told) + strlen(text) + 2 < sizeof state->told) {
    strcat(state->told, text);
    strcat(state->told, ";");
  }
}

/* Where tests of the native build look: one line for each end. */
static void note(const char *line) {
  const char *path = getenv("QPC_RECORDER_FILE");
  FILE *file = path == NULL ? stderr : fopen(path, "a");
  if (file == NULL) return;
  fprintf(file, "%s\n", line);
  if (path != NULL) fclose(file);
}

static bool all(const uint8_t *bytes, size_t size, size_t expected, uint8_t value) {
  if (size != expected || bytes == NULL) return false;
  for (size_t i = 0; i < size; ++i) {
    if (bytes[i] != value) return false;
  }
  return true;
}

static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  struct state *state = data;
  char text[160];
  state->message = state->reason;
  snprintf(text, sizeof text, "message sealed=%d keys=%d channel=%d length=%lu seq=%llu",
           event->sender_identity == NULL && event->sender_identity_len == 0,
           all(event->recipient_key, event->recipient_key_len, 32, 'r'),
           all(event->channel_id, event->channel_id_len, 16, 'c'), (unsigned long)event->payload_len,
           (unsigned long long)event->seq);
  switch (event->payload_len) {
    case SHOW:
      strcpy(state->reason, state->told);
      state->told[0] = '\0';
      return HOOK_REJECT;
    case SEVEN:
      strcpy(state->reason, "seven");
      return 7;
    case NO_REASON:
      state->message = NULL;
      return HOOK_REJECT;
    case CRASH:
      abort();
    case LOOP:
      for (volatile int i = 0;; i = i + 1) {
      }
    case GROW:
      for (;;) {
        volatile char *more = malloc(1 << 20);
        if (more == NULL) abort();
        for (size_t i = 0; i < 1 << 20; i += 4096) more[i] = 1;
      }
    default:
      tell(state, text);
      return HOOK_CONTINUE;
  }
}

static void on_batch_enqueue(void *data, const CMessageEvent *events, size_t count) {
  char text[160];
  snprintf(text, sizeof text, "batch %lu", (unsigned long)count);
  tell(data, text);
  for (size_t i = 0; i < count; ++i) {
    snprintf(text, sizeof text, "seq %llu sender=%d", (unsigned long long)events[i].seq,
             all(events[i].sender_identity, events[i].sender_identity_len, 32, 's'));
    tell(data, text);
  }
}

static void on_auth(void *data, const CAuthEvent *event) {
  char text[400];
  snprintf(text, sizeof text, "auth %s/%lu %d %s/%lu", (const char *)event->username,
           (unsigned long)event->username_len, event->success != 0,
           (const char *)event->failure_reason, (unsigned long)event->failure_reason_len);
  tell(data, text);
}

static void on_channel_created(void *data, const CChannelEvent *event) {
  char text[160];
  snprintf(text, sizeof text, "channel %d %d %d new=%d",
           all(event->channel_id, event->channel_id_len, 16, 'c'),
           all(event->initiator_key, event->initiator_key_len, 32, 's'),
           all(event->peer_key, event->peer_key_len, 32, 'r'), event->was_new != 0);
  tell(data, text);
}

static void on_fetch(void *data, const CFetchEvent *event) {
  char text[160];
  snprintf(text, sizeof text, "fetch %d channel=%s %lu",
           all(event->recipient_key, event->recipient_key_len, 32, 'r'),
           event->channel_id == NULL && event->channel_id_len == 0              ? "none"
           : all(event->channel_id, event->channel_id_len, 16, 'c') ? "c"
                                                                                : "wrong",
           (unsigned long)event->message_count);
  tell(data, text);
}

static void on_user_registered(void *data, const uint8_t *username, size_t username_len,
                               const uint8_t *identity_key, size_t identity_key_len) {
  char text[400];
  snprintf(text, sizeof text, "user %s/%lu key=%d", (const char *)username,
           (unsigned long)username_len, all(identity_key, identity_key_len, 32, 's'));
  tell(data, text);
}

static const uint8_t *error_message(void *data) {
  return (const uint8_t *)((struct state *)data)->message;
}

static void on_shutdown(void *data) {
  (void)data;
  note("on_shutdown");
}

static void destroy(void *data) {
  note("destroy");
  free(data);
}

int32_t qpc_plugin_init(HookVTable *vtable) {
  static const HookVTable kZero;
  if (memcmp(vtable, &kZero, sizeof kZero) != 0) return -99;
  struct state *state = calloc(1, sizeof *state);
  if (state == NULL) return -1;
  vtable->user_data = state;
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->on_batch_enqueue = on_batch_enqueue;
  vtable->on_auth = on_auth;
  vtable->on_channel_created = on_channel_created;
  vtable->on_fetch = on_fetch;
  vtable->on_user_registered = on_user_registered;
  vtable->error_message = error_message;
  vtable->on_shutdown = on_shutdown;
  vtable->destroy = destroy;
  return PLUGIN_OK;
}
