/* Looks at every piece of both bodies, and changes nothing. */
#include "../../tests/plugins/abi.h"

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}
static char scratch[1 << 20];
EXPORT(proxy_on_memory_allocate) char* allocate(u32 size) { return size <= sizeof scratch ? scratch : 0; }
EXPORT(proxy_on_context_create) void on_context_create(u32 id, u32 parent) { (void)id, (void)parent; }

static u32 look(u32 buffer, u32 size) {
  char* data = 0;
  u32 got = 0;
  if (size > 0) proxy_get_buffer_bytes(buffer, 0, size, &data, &got);
  return 0;
}
EXPORT(proxy_on_request_body) u32 on_request_body(u32 id, u32 size, u32 end) { return (void)id, (void)end, look(0, size); }
EXPORT(proxy_on_response_body) u32 on_response_body(u32 id, u32 size, u32 end) { return (void)id, (void)end, look(1, size); }
