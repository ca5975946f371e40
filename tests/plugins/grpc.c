/* A plugin that makes gRPC calls as a request's header `x-do` says, and answers the request with what it was told:
 *
 *   call UPSTREAM METHOD TIMEOUT MESSAGE     stream UPSTREAM METHOD
 *   send MESSAGE | end MESSAGE | close | cancel | wait       of the last one, in this order; separated by ';'
 *   most N                                   before a stream: it is cancelled in the callback of its Nth message
 *
 * UPSTREAM `0a050a...` of hexadecimal digits after `hex:` is bytes. The service is `test.Echo`; metadata `x-asked: yes` and
 * the bytes 00 01 02 ff in `x-asked-bin`. A request waits until its call has ended. Lines of the plugin's configuration do
 * the same when it starts, and log. One request at a time. */
#include "abi.h"
#include "text.h"

static char arena[1 << 20];
static u32 arena_used;
static char told[1 << 16];
static char* told_end = told;
static u32 asker; /* the stream that waits */
static u32 token;
static u32 most; /* messages that are still wanted; 0: all */

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}

EXPORT(proxy_on_memory_allocate) char* allocate(u32 size) {
  const u32 at = arena_used;
  arena_used += (size + 15u) & ~15u;
  if (arena_used > sizeof arena) __builtin_trap();
  return arena + at;
}

static void tell(const char* what, Text text) {
  if (told_end != told) *told_end++ = '\n';
  char* const start = told_end;
  told_end = put(put_text(told_end, what), text.at, length(text));
  proxy_log(2, start, (u32)(told_end - start));
}

static void tell_number(const char* what, u32 number) {
  char digits[16];
  const Text text = {digits, put_number(digits, number)};
  tell(what, text);
}

static void answer(void) {
  if (asker == 0) return;
  proxy_set_effective_context(asker);
  proxy_send_local_response(200, 0, 0, told, (u32)(told_end - told), 0, 0, ~0u);
  asker = 0;
}

static u32 hex_digit(char c) { return (u32)(c <= '9' ? c - '0' : c - 'a' + 10); }

static Text upstream_of(Text name, char* bytes) {
  if (length(name) < 4 || name.at[3] != ':') return name;
  char* out = bytes;
  for (const char* at = name.at + 4; at + 1 < name.end; at += 2)
    *out++ = (char)(hex_digit(at[0]) * 16 + hex_digit(at[1]));
  const Text text = {bytes, out};
  return text;
}

static const char kMetadata[] =
    "\2\0\0\0\7\0\0\0\3\0\0\0\13\0\0\0\10\0\0\0x-asked\0yes\0x-asked-bin\0AAEC/w==";

/* Whether the outcome is still to come. */
static int act(Text line) {
  char bytes[256];
  const Text command = word(&line);
  u32 result = 0;
  if (is(command, "call")) {
    const Text upstream = upstream_of(word(&line), bytes);
    const Text method = word(&line);
    const u32 timeout = number(word(&line));
    result = proxy_grpc_call(upstream.at, length(upstream), "test.Echo", 9, method.at, length(method), kMetadata,
                             sizeof kMetadata, line.at, length(line), timeout, &token);
  }
  if (is(command, "stream")) {
    const Text upstream = upstream_of(word(&line), bytes);
    const Text method = word(&line);
    result = proxy_grpc_stream(upstream.at, length(upstream), "test.Echo", 9, method.at, length(method), kMetadata,
                               sizeof kMetadata, &token);
  }
  if (is(command, "most")) most = number(word(&line));
  if (is(command, "send")) result = proxy_grpc_send(token, line.at, length(line), 0);
  if (is(command, "end")) result = proxy_grpc_send(token, line.at, length(line), 1);
  if (is(command, "close")) result = proxy_grpc_close(token);
  if (is(command, "cancel")) result = proxy_grpc_cancel(token);
  if (result != 0) tell_number("refused", result);
  if (is(command, "cancel")) tell_number("cancelled", token);
  return result == 0 && !is(command, "cancel");
}

static int run(Text script) {
  int waits = 0;
  while (script.at < script.end) {
    Text line = {script.at, script.at};
    while (line.end < script.end && *line.end != ';' && *line.end != '\n') line.end++;
    script.at = line.end + 1;
    if (line.end != line.at) waits = act(line);
  }
  return waits;
}

EXPORT(proxy_on_configure) u32 on_configure(u32 id, u32 size) {
  Text script = {0, 0};
  u32 got = 0;
  arena_used = 0;
  (void)id;
  proxy_get_buffer_bytes(7, 0, size, (char**)&script.at, &got);
  script.end = script.at + got;
  run(script);
  return 1;
}

EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 id, u32 n, u32 end) {
  Text script = {0, 0};
  u32 got = 0;
  arena_used = 0;
  (void)n;
  (void)end;
  if (proxy_get_header_map_value(0, "x-do", 4, (char**)&script.at, &got) != 0) return 0;
  script.end = script.at + got;
  told_end = told;
  most = 0;
  asker = id;
  if (!run(script)) answer();
  return 1;
}

static Text header(u32 map, const char* name, u32 size) {
  Text value = {0, 0};
  u32 got = 0;
  proxy_get_header_map_value(map, name, size, (char**)&value.at, &got);
  value.end = value.at + got;
  return value;
}

static void tell_some(const char* what, Text value) {
  if (length(value) > 0) tell(what, value);
}

EXPORT(proxy_on_grpc_receive_initial_metadata) void on_initial(u32 id, u32 of, u32 n) {
  arena_used = 0;
  (void)id;
  (void)of;
  tell(n > 0 ? "initial " : "initial", header(4, "x-initial", 9));
  tell_some("initial bytes ", header(4, "x-initial-bin", 13));
}

EXPORT(proxy_on_grpc_receive) void on_receive(u32 id, u32 of, u32 size) {
  Text message = {0, 0};
  u32 got = 0;
  arena_used = 0;
  (void)id;
  proxy_get_buffer_bytes(5, 0, size, (char**)&message.at, &got);
  message.end = message.at + got;
  if (got > 100) {
    tell_number("receive bytes", got);
  } else {
    tell("receive ", message);
  }
  if (most != 0 && --most == 0) {
    tell_number("cancelled", proxy_grpc_cancel(of));
    answer();
  }
  if ((of & 3) == 1) answer();
}

EXPORT(proxy_on_grpc_receive_trailing_metadata) void on_trailing(u32 id, u32 of, u32 n) {
  arena_used = 0;
  (void)id;
  (void)of;
  tell(n > 0 ? "trailing " : "trailing", header(5, "x-trailing", 10));
  tell_some("trailing bytes ", header(5, "x-trailing-bin", 14));
}

EXPORT(proxy_on_grpc_close) void on_close(u32 id, u32 of, u32 code) {
  Text message = {0, 0};
  u32 got = 0, same = 0;
  arena_used = 0;
  (void)id;
  (void)of;
  proxy_get_status(&same, (char**)&message.at, &got);
  message.end = message.at + got;
  char line[512];
  const Text text = {line, put(put_text(put_number(line, code), " "), message.at, got < 400 ? got : 400)};
  tell(same == code ? "close" : "close with another status", text);
  answer();
}

EXPORT(proxy_on_done) u32 on_done(u32 id) {
  if (id == asker) asker = 0;
  return 1;
}
