/* A plugin that does what its configuration says, a line for each action:
 *
 *   CALLBACK [if HEADER] COMMAND [ARGUMENTS]
 *
 * CALLBACK is a callback without "proxy_on_" ("*" for every one); `if HEADER` runs the line only when the request has that
 * header, `when TYPE TEXT` only when that buffer begins with the text. Commands: trace | log TEXT | add MAP NAME VALUE |
 * set MAP NAME VALUE | remove MAP NAME | body TYPE TEXT | prepend TYPE TEXT | append TYPE TEXT | reply STATUS TEXT |
 * call UPSTREAM PATH | remember | effective (act for that stream) | resume STREAM | close STREAM | tick MS |
 * foreign FUNCTION ARGUMENTS | property A.B |
 * export A.B TEXT | count NAME | upper TYPE | hold N (pause until the callback has N bytes, or the end) | show TYPE |
 * return N | pause | trap | spin | exit CODE | grow | pairs MAP | get MAP NAME | buffer TYPE START SIZE | hex A.B | size A.B |
 * last (the status of the last change). */
#include "abi.h"
#include "show.h"
#include "text.h"

static char config[16384];
static u32 config_size;
static char arena[262144];
static u32 arena_used;
static u32 last; /* status of the last change of a header, a body or the stream */
static u32 called_from; /* the stream that made the last http_call, or remembered itself: resume is for it */

EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}

EXPORT(proxy_on_memory_allocate) char* allocate(u32 size) {
  u32 at = arena_used;
  arena_used += (size + 15u) & ~15u;
  if (arena_used > sizeof arena) __builtin_trap();
  return arena + at;
}

static void trace(const char* callback, const u32* arguments, u32 count) {
  char line[256];
  char* out = put_text(put_text(line, "probe "), callback);
  for (u32 i = 0; i < count; i++) out = put_number(out, arguments[i]);
  proxy_log(2, line, (u32)(out - line));
}

static int has_request_header(Text name) {
  char* value = 0;
  u32 size = 0;
  return proxy_get_header_map_value(0, name.at, length(name), &value, &size) == 0;
}

static char* pair_sizes(char* out, u32 key, u32 value) {
  __builtin_memcpy(out, &key, 4);
  __builtin_memcpy(out + 4, &value, 4);
  return out + 8;
}

static char* pair_texts(char* out, const char* key, Text value) {
  out = put_text(out, key);
  *out++ = 0;
  out = put(out, value.at, length(value));
  *out++ = 0;
  return out;
}

static void call(Text upstream, Text path) {
  static const char get[] = "GET";
  const Text method = {get, get + 3};
  char pairs[1024];
  u32 count = 3, token = 0;
  __builtin_memcpy(pairs, &count, 4);
  char* out = pair_sizes(pairs + 4, 7, 3);
  out = pair_sizes(out, 5, length(path));
  out = pair_sizes(out, 10, length(upstream));
  out = pair_texts(out, ":method", method);
  out = pair_texts(out, ":path", path);
  out = pair_texts(out, ":authority", upstream);
  const u32 result = proxy_http_call(upstream.at, length(upstream), pairs, (u32)(out - pairs), 0, 0, 0, 0, 2000, &token);
  if (result != 0) trace("call refused", &result, 1);
}

static void call_foreign(Text name, Text arguments) {
  char line[256];
  char* data = 0;
  u32 size = 0;
  const u32 result = proxy_call_foreign_function(name.at, length(name), arguments.at, length(arguments), &data, &size);
  char* out = put(put_text(line, "probe foreign "), name.at, length(name));
  out = put_number(put_number(out, result), size);
  proxy_log(2, line, (u32)(out - line));
}

static void count_up(Text name) {
  u32 id = 0;
  proxy_define_metric(0, name.at, length(name), &id);
  proxy_increment_metric(id, 1);
}

static void change_body(Text command, Text line) {
  const u32 type = number(word(&line));
  const u32 start = is(command, "append") ? 0x7fffffffu : 0;
  const u32 size = is(command, "body") ? 0x7fffffffu : 0;
  last = proxy_set_buffer_bytes(type, start, size, line.at, length(line));
}

static void change_header(Text command, Text line) {
  const u32 map = number(word(&line));
  const Text name = word(&line);
  if (is(command, "add"))
    last = proxy_add_header_map_value(map, name.at, length(name), line.at, length(line));
  if (is(command, "set"))
    last = proxy_replace_header_map_value(map, name.at, length(name), line.at, length(line));
  if (is(command, "remove")) last = proxy_remove_header_map_value(map, name.at, length(name));
}

static int begins_with(u32 type, Text text) {
  char* data = 0;
  u32 size = 0;
  if (proxy_get_buffer_bytes(type, 0, length(text), &data, &size) != 0 || size != length(text)) return 0;
  for (u32 i = 0; i < size; i++) {
    if (data[i] != text.at[i]) return 0;
  }
  return 1;
}

static void upper(u32 type) {
  char* data = 0;
  u32 size = 0;
  if (proxy_get_buffer_bytes(type, 0, 0x7fffffff, &data, &size) != 0) return;
  for (u32 i = 0; i < size; i++) {
    if (data[i] >= 'a' && data[i] <= 'z') data[i] = (char)(data[i] - 'a' + 'A');
  }
  proxy_set_buffer_bytes(type, 0, size, data, size);
}

static void show(u32 type) {
  char* data = 0;
  u32 size = 0;
  const u32 result = proxy_get_buffer_bytes(type, 0, 512, &data, &size);
  if (result == 0) proxy_log(2, data, size);
  else trace("show", &result, 1);
}

static volatile u32 never;

static void misbehave(Text command, Text line) {
  if (is(command, "trap")) __builtin_trap();
  if (is(command, "exit")) proc_exit(number(word(&line)));
  while (is(command, "spin")) never++;
  while (is(command, "grow")) {
    if (__builtin_wasm_memory_grow(0, 1) == ~0ul) __builtin_trap();
  }
}

/* One action; `result` is what the callback returns. */
static void act(Text command, Text line, const char* callback, const u32* arguments, u32 count, u32* result) {
  if (is(command, "trace")) trace(callback, arguments, count);
  if (is(command, "log")) proxy_log(2, line.at, length(line));
  if (is(command, "add") || is(command, "set") || is(command, "remove")) change_header(command, line);
  if (is(command, "body") || is(command, "prepend") || is(command, "append")) change_body(command, line);
  if (is(command, "reply")) {
    const u32 status = number(word(&line));
    last = proxy_send_local_response(status, 0, 0, line.at, length(line), 0, 0, ~0u);
  }
  if (is(command, "call")) {
    const Text upstream = word(&line);
    called_from = arguments[0];
    call(upstream, word(&line));
  }
  if (is(command, "remember")) called_from = arguments[0];
  if (is(command, "effective")) proxy_set_effective_context(called_from);
  if (is(command, "resume")) {
    if (called_from != 0) proxy_set_effective_context(called_from);
    last = proxy_continue_stream(number(word(&line)));
  }
  if (is(command, "close")) last = proxy_close_stream(number(word(&line)));
  if (is(command, "tick")) proxy_set_tick_period_milliseconds(number(word(&line)));
  look(command, line, last);
  if (is(command, "export")) {
    char path[128];
    const u32 size = path_of(word(&line), path);
    last = proxy_set_property(path, size, line.at, length(line));
  }
  if (is(command, "foreign")) {
    const Text name = word(&line);
    call_foreign(name, line);
  }
  if (is(command, "count")) count_up(word(&line));
  if (is(command, "return")) *result = number(word(&line));
  if (is(command, "pause")) *result = 1;
  if (is(command, "upper")) upper(number(word(&line)));
  if (is(command, "show")) show(number(word(&line)));
  if (is(command, "hold")) *result = arguments[1] < number(word(&line)) && arguments[2] == 0;
  misbehave(command, line);
}

static u32 done_once; /* a bit for each of the first 32 lines */

static u32 run(const char* callback, const u32* arguments, u32 count, u32 result) {
  arena_used = 0;
  const char* at = config;
  u32 line_number = 0;
  while (at < config + config_size) {
    Text line = {at, at};
    while (line.end < config + config_size && *line.end != '\n') line.end++;
    at = line.end + 1;
    const u32 line_bit = 1u << (line_number++ & 31);
    const Text name = word(&line);
    if (!is(name, callback) && !is(name, "*")) continue;
    Text command = word(&line);
    if (is(command, "once")) {
      if ((done_once & line_bit) != 0) continue;
      done_once |= line_bit;
      command = word(&line);
    }
    if (is(command, "if")) {
      if (!has_request_header(word(&line))) continue;
      command = word(&line);
    }
    if (is(command, "when")) {
      const u32 type = number(word(&line));
      if (!begins_with(type, word(&line))) continue;
      command = word(&line);
    }
    act(command, line, callback, arguments, count, &result);
  }
  return result;
}

#define RUN(name, result, ...)                                    \
  const u32 arguments[] = {__VA_ARGS__};                          \
  return run(name, arguments, sizeof arguments / sizeof(u32), result)

EXPORT(proxy_on_context_create) void on_context_create(u32 id, u32 parent) {
  const u32 arguments[] = {id, parent};
  run("context_create", arguments, 2, 0);
}
EXPORT(proxy_on_vm_start) u32 on_vm_start(u32 id, u32 size) { RUN("vm_start", 1, id, size); }
EXPORT(proxy_on_configure) u32 on_configure(u32 id, u32 size) {
  char* data = 0;
  u32 got = 0;
  arena_used = 0;
  proxy_get_buffer_bytes(7, 0, sizeof config, &data, &got);
  config_size = got;
  put(config, data, got);
  RUN("configure", 1, id, size);
}
EXPORT(proxy_on_tick) void on_tick(u32 id) { run("tick", &id, 1, 0); }
EXPORT(proxy_on_request_headers) u32 on_request_headers(u32 id, u32 n, u32 end) { RUN("request_headers", 0, id, n, end); }
EXPORT(proxy_on_request_body) u32 on_request_body(u32 id, u32 n, u32 end) { RUN("request_body", 0, id, n, end); }
EXPORT(proxy_on_request_trailers) u32 on_request_trailers(u32 id, u32 n) { RUN("request_trailers", 0, id, n); }
EXPORT(proxy_on_response_headers) u32 on_response_headers(u32 id, u32 n, u32 end) { RUN("response_headers", 0, id, n, end); }
EXPORT(proxy_on_response_body) u32 on_response_body(u32 id, u32 n, u32 end) { RUN("response_body", 0, id, n, end); }
EXPORT(proxy_on_response_trailers) u32 on_response_trailers(u32 id, u32 n) { RUN("response_trailers", 0, id, n); }
EXPORT(proxy_on_http_call_response) void on_http_call_response(u32 id, u32 token, u32 n, u32 body, u32 trailers) {
  const u32 arguments[] = {id, token, n, body, trailers};
  run("http_call_response", arguments, 5, 0);
}
EXPORT(proxy_on_done) u32 on_done(u32 id) { RUN("done", 1, id); }
EXPORT(proxy_on_log) void on_log(u32 id) { run("log", &id, 1, 0); }
EXPORT(proxy_on_delete) void on_delete(u32 id) { run("delete", &id, 1, 0); }
