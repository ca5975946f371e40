/* A message_hook for the tests; what it does with a message is the first word of its text.
 *   NAME   what its log lines begin with
 *   LIFE   0: void(void), 1: int(void), 2: int(int, int): the shape of the lifecycle exports
 *   LOAD   what on_plugin_load returns
 *   ALLOC  also export an allocator, and count what it gave and got back
 *   MODULE_LOG  log through ourchat.log instead of env.ourchat_log */
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

#ifdef MODULE_LOG
IMPORT("ourchat", "log") void host_log(uint32_t level, const void *text, uint32_t length);
#else
IMPORT("env", "ourchat_log") void host_log(uint32_t level, const void *text, uint32_t length);
#endif

enum { kTrace, kDebug, kInfo, kWarn, kError };

static uint32_t length_of(const char *text) {
  uint32_t length = 0;
  while (text[length] != '\0') ++length;
  return length;
}

static void say(uint32_t level, const char *text) {
  static char line[256];
  uint32_t at = 0;
  for (const char *part = NAME; *part != '\0'; ++part) line[at++] = *part;
  line[at++] = ' ';
  for (; *text != '\0' && at < sizeof line; ++text) line[at++] = *text;
  host_log(level, line, at);
}

#if LIFE == 0
#define LIFE_CYCLE(name, code) \
  EXPORT(#name) void name(void) { say(kInfo, #name); }
#elif LIFE == 1
#define LIFE_CYCLE(name, code) \
  EXPORT(#name) int32_t name(void) { say(kInfo, #name); return code; }
#else
#define LIFE_CYCLE(name, code)                  \
  EXPORT(#name) int32_t name(int32_t a, int32_t b) { \
    say(a == 0 && b == 0 ? kInfo : kError, #name);   \
    return code;                                \
  }
#endif
LIFE_CYCLE(on_plugin_load, LOAD)
LIFE_CYCLE(on_plugin_unload, 0)
LIFE_CYCLE(on_plugin_enable, 0)
LIFE_CYCLE(on_plugin_disable, 0)

#ifdef ALLOC
static uint8_t heap[1 << 21];
static uint32_t given;
EXPORT("alloc") void *give(uint32_t size) {
  ++given;
  return size <= sizeof heap ? heap : NULL;
}
EXPORT("dealloc") void take(void *address, uint32_t size) {
  (void)size;
  if (address == heap) --given;
}
#endif

static int begins(const char *json, uint32_t length, const char *word) {
  static const char kKey[] = "{\"markdown_text\":\"";
  const uint32_t skip = sizeof kKey - 1;
  const uint32_t size = length_of(word);
  if (length < skip + size) return 0;
  for (uint32_t i = 0; i < skip; ++i) {
    if (json[i] != kKey[i]) return 0;
  }
  for (uint32_t i = 0; i < size; ++i) {
    if (json[skip + i] != word[i]) return 0;
  }
  return 1;
}

static uint32_t asked;

EXPORT("on_message_send") uint32_t on_message_send(const char *json, uint32_t length) {
  ++asked;
  if (json == NULL) __builtin_trap();
#ifdef ALLOC
  if (json != (const char *)heap || given != 1) __builtin_trap();
#endif
  if (begins(json, length, "block-" NAME)) return 1;
  if (begins(json, length, "seven")) return 7;
  if (begins(json, length, "trap")) __builtin_trap();
  if (begins(json, length, "loop")) {
    for (volatile int i = 0;; i = i + 1) {
    }
  }
  if (begins(json, length, "grow")) {
    while (__builtin_wasm_memory_grow(0, 16) != (size_t)-1) {
    }
    say(kWarn, "memory ended");
  }
  if (begins(json, length, "show")) host_log(kInfo, json, length);
  if (begins(json, length, "levels")) {
    for (uint32_t level = kTrace; level <= kError + 1; ++level) say(level, "level");
  }
  if (begins(json, length, "outside")) host_log(kInfo, (const void *)0xfffffff0, 64);
  if (begins(json, length, "count")) say(kInfo, asked == 1 ? "first" : "later");
  return 0;
}

EXPORT("on_message_sent") uint32_t on_message_sent(const uint8_t *id, uint32_t length) {
  static char text[] = "sent 0";
  if (length != 8) __builtin_trap();
  text[5] = (char)('0' + id[0] % 10);
  say(kInfo, text);
  return 0;
}
