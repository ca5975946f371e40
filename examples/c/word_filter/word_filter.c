/* A message_hook: blocks messages that contain a forbidden word. Needs no library and no allocator:
 * Heddle adds pages to the memory and puts the payload there. */
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(module, name) __attribute__((import_module(module), import_name(name)))

IMPORT("env", "ourchat_log") void ourchat_log(uint32_t level, const char *text, uint32_t length);

enum { kInfo = 2, kAllow = 0, kBlock = 1 };

static const char *const kWords[] = {"forbidden", "casino", "free money"};

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

static int contains(const char *text, size_t length, const char *word) {
  for (size_t start = 0; start < length; ++start) {
    size_t i = 0;
    while (word[i] != '\0' && start + i < length && lower(text[start + i]) == word[i]) ++i;
    if (word[i] == '\0') return 1;
  }
  return 0;
}

EXPORT("on_message_send") uint32_t on_message_send(const char *json, uint32_t length) {
  static const char kBlocked[] = "word_filter: a message was blocked";
  for (size_t i = 0; i < sizeof kWords / sizeof kWords[0]; ++i) {
    if (contains(json, length, kWords[i])) {
      ourchat_log(kInfo, kBlocked, sizeof kBlocked - 1);
      return kBlock;
    }
  }
  return kAllow;
}
