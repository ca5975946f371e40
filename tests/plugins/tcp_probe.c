/* The probe (probe.c, where its configuration is described) with the callbacks of TCP connections: new_connection,
 * downstream_data, upstream_data, downstream_connection_close, upstream_connection_close. Buffer and stream numbers are 2 for
 * what comes from the client and 3 for what comes from the upstream. */
#include "probe.c"

EXPORT(proxy_on_new_connection) u32 on_new_connection(u32 id) { RUN("new_connection", 0, id); }
EXPORT(proxy_on_downstream_data) u32 on_downstream_data(u32 id, u32 n, u32 end) { RUN("downstream_data", 0, id, n, end); }
EXPORT(proxy_on_upstream_data) u32 on_upstream_data(u32 id, u32 n, u32 end) { RUN("upstream_data", 0, id, n, end); }
EXPORT(proxy_on_downstream_connection_close) void on_downstream_close(u32 id, u32 peer) {
  const u32 arguments[] = {id, peer};
  run("downstream_connection_close", arguments, 2, 0);
}
EXPORT(proxy_on_upstream_connection_close) void on_upstream_close(u32 id, u32 peer) {
  const u32 arguments[] = {id, peer};
  run("upstream_connection_close", arguments, 2, 0);
}
