/* Adds one header to every request. */
#include "../../tests/plugins/abi.h"

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}
static char scratch[65536];
EXPORT(proxy_on_memory_allocate) char* allocate(u32 size) { return size <= sizeof scratch ? scratch : 0; }
EXPORT(proxy_on_context_create) void on_context_create(u32 id, u32 parent) { (void)id, (void)parent; }
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 id, u32 n, u32 end) {
  (void)id, (void)n, (void)end;
  proxy_add_header_map_value(0, "x-plugin", 8, "minimal", 7);
  return 0;
}
