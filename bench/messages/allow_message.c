/* A message_hook that looks at nothing and allows every message. */
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

static uint8_t buffer[1 << 16];

EXPORT("alloc") uint8_t *alloc(uint32_t size) { return size <= sizeof buffer ? buffer : 0; }
EXPORT("on_message_send") uint32_t on_message_send(const uint8_t *json, uint32_t length) {
  (void)json;
  (void)length;
  return 0;
}
