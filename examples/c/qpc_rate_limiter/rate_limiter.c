/* Lets each sender enqueue ten messages a second: a token bucket for each identity key. Sealed
 * senders share one bucket. Builds as a shared object and, unchanged, for wasm32. */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <heddle/abi/qpc_plugin.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEY_BYTES 32
#define BUCKETS 4096 /* a power of two; senders whose keys meet in one share it */
#define RATE 10      /* tokens a second, and the most that a bucket holds */

struct bucket {
  double tokens;
  double filled_at; /* 0: never used */
};

struct limiter {
  struct bucket buckets[BUCKETS];
};

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Identity keys are random, so their first bytes spread well. */
static struct bucket *bucket_of(struct limiter *limiter, const CMessageEvent *event) {
  uint32_t index = 0;
  if (event->sender_identity_len == KEY_BYTES) {
    memcpy(&index, event->sender_identity, sizeof index);
  }
  return &limiter->buckets[index % BUCKETS];
}

/* The server makes these calls one at a time, because there is an error_message. */
static int32_t on_message_enqueue(void *user_data, const CMessageEvent *event) {
  struct bucket *bucket = bucket_of(user_data, event);
  const double time = now();
  if (bucket->filled_at == 0) {
    bucket->tokens = RATE;
  } else {
    bucket->tokens += (time - bucket->filled_at) * RATE;
    if (bucket->tokens > RATE) bucket->tokens = RATE;
  }
  bucket->filled_at = time;
  if (bucket->tokens < 1) return HOOK_REJECT;
  bucket->tokens -= 1;
  return HOOK_CONTINUE;
}

static const uint8_t *error_message(void *user_data) {
  (void)user_data;
  return (const uint8_t *)"too many messages, slow down";
}

int32_t qpc_plugin_init(HookVTable *vtable) {
  vtable->user_data = calloc(1, sizeof(struct limiter));
  if (vtable->user_data == NULL) return -1;
  vtable->on_message_enqueue = on_message_enqueue;
  vtable->error_message = error_message;
  vtable->destroy = free;
  return PLUGIN_OK;
}
