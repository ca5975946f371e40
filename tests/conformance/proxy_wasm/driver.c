/* A plugin that makes the host calls of its VM configuration and logs what came back. A line of it:
 *
 *   CALLBACK [first|end] STATEMENT
 *
 * `first`: only the first time that this context gets the callback; `end`: only with end_of_stream. Statements: a host call
 * without "proxy_" and its arguments; `return N`; `trace` (logs the callback with its arguments); `trap`; `spin`; `exit N`.
 *
 * Arguments: a number; `end` (the size of memory), `end-N`; "text" (pointer and size); {name=value,...} (a serialised map: pointer
 * and size); `>` (receives 32 bits), `>8` (64 bits), `>>` (pointer and size of bytes), `>{` (of a map); `$` (what the last `>` got);
 * `me` (this context's id); `scratch` (1 MiB to write to). A logged line begins with "= " and the status; what was received follows if that is 0.
 *
 * Compiled with -DABI=10, 20 or 21, and -DSTART=initialize, start or main, for the versions and ways to start. */
#include "../../plugins/text.h"

#define A0 void
#define A1 u32
#define A2 u32, u32
#define A3 u32, u32, u32
#define A4 u32, u32, u32, u32
#define A5 u32, A4
#define A6 u32, A5
#define A8 A4, A4
#define A9 u32, A8
#define A10 A5, A5
#define A12 A8, A4
#define T_iI u32, u64
#define T_iIi u32, u64, u32
#define T_iIii u32, u64, u32, u32

#define CALL(count, module, name) \
  __attribute__((import_module(#module), import_name(#name))) extern u32 host_##name(A##count);
#define WIDE(signature, module, name) \
  __attribute__((import_module(#module), import_name(#name))) extern u32 host_##name(T_##signature);
#define NUMBER CALL
#define WIDE_NUMBER WIDE
#include "host_calls.inc"
#undef CALL
#undef WIDE
#undef NUMBER
#undef WIDE_NUMBER

enum { WIDE_iI = 100, WIDE_iIi, WIDE_iIii };
typedef void (*Any)(void);
static const struct {
  const char* name;
  u32 kind; /* number of parameters, or WIDE_ */
  Any function;
  int is_status;
} calls[] = {
#define CALL(count, module, name) {#name, count, (Any)host_##name, 1},
#define NUMBER(count, module, name) {#name, count, (Any)host_##name, 0},
#define WIDE(signature, module, name) {#name, WIDE_##signature, (Any)host_##name, 1},
#define WIDE_NUMBER(signature, module, name) {#name, WIDE_##signature, (Any)host_##name, 0},
#include "host_calls.inc"
};

static char script[16384];
static u32 script_size;
static char given[1 << 20]; /* what the host allocates for its results, anew for each host call */
static u32 given_used;
static char inputs[1 << 17]; /* texts and maps of one statement */
static u32 inputs_used;
static u32 last; /* what the last `>` received */
static u32 seen[64], seen_count; /* hashes of (context, callback) that came already */

EXPORT(proxy_on_memory_allocate) char* allocate(u32 size) {
  const u32 at = given_used;
  given_used += (size + 15u) & ~15u;
  if (given_used > sizeof given) __builtin_trap();
  return given + at;
}

/* ---- logging ---- */

static char line[8192];
static char* out;

static void put_wide(u64 value) {
  char digits[20];
  u32 count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  *out++ = ' ';
  while (count > 0) *out++ = digits[--count];
}

static void put_escaped(const char* data, u32 size) {
  static const char hex[] = "0123456789abcdef";
  if (size > 1500) size = 1500;
  for (u32 i = 0; i < size; i++) {
    const unsigned char byte = (unsigned char)data[i];
    if (byte >= 32 && byte < 127 && byte != '"' && byte != '\\') {
      *out++ = (char)byte;
    } else {
      *out++ = '\\', *out++ = 'x', *out++ = hex[byte >> 4], *out++ = hex[byte & 15];
    }
  }
}

static void put_bytes(const char* data, u32 size) {
  if (data == 0) {
    out = put_text(out, " null");
    return;
  }
  out = put_text(out, " \"");
  put_escaped(data, size);
  *out++ = '"';
}

static u32 load(const char* at) {
  u32 value;
  __builtin_memcpy(&value, at, 4);
  return value;
}

static void put_map(const char* data, u32 size) {
  if (data == 0 || size < 4) return put_bytes(data, size);
  const u32 count = load(data);
  const char* text = data + 4 + count * 8;
  out = put_text(out, " {");
  for (u32 i = 0; i < count; i++) {
    const u32 key = load(data + 4 + i * 8), value = load(data + 8 + i * 8);
    if (i > 0) *out++ = ',';
    put_escaped(text, key);
    *out++ = '=';
    put_escaped(text + key + 1, value);
    text += key + 1 + value + 1;
  }
  *out++ = '}';
}

static void begin(void) { out = put_text(line, "="); }
static void end(void) { host_proxy_log(2, (u32)line, (u32)(out - line)); }

/* ---- arguments ---- */

typedef struct {
  u64 values[12];
  u32 count;
  char kinds[12]; /* of each received thing, in order: 4, 8, b, { */
  u32 received[12]; /* its slot */
  u32 receivers;
} Arguments;

static u64 slots[12][2];

static u64 read_number(Text text) {
  if (is(text, "end")) return __builtin_wasm_memory_size(0) * 65536u;
  if (length(text) > 4 && text.at[0] == 'e' && text.at[3] == '-') {
    const Text rest = {text.at + 4, text.end};
    return __builtin_wasm_memory_size(0) * 65536u - number(rest);
  }
  const int negative = text.at[0] == '-';
  u64 value = 0;
  for (const char* at = text.at + negative; at < text.end; at++) value = value * 10 + (u64)(*at - '0');
  return negative ? 0 - value : value;
}

static void push(Arguments* arguments, u64 value) { arguments->values[arguments->count++] = value; }

static u32 hex_digit(char c) { return (u32)(c <= '9' ? c - '0' : c - 'a' + 10); }

/* Copies up to one of `stops`, resolving \xNN; returns where it stopped. */
static const char* copy_text(const char* at, const char* limit, const char* stops) {
  for (; at < limit; at++) {
    for (const char* stop = stops; *stop != 0; stop++) {
      if (*at == *stop) return at;
    }
    if (*at == '\\' && at + 3 < limit && at[1] == 'x') {
      inputs[inputs_used++] = (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
      at += 3;
    } else {
      inputs[inputs_used++] = *at;
    }
  }
  return at;
}

static const char* push_text(Arguments* arguments, const char* at, const char* limit) {
  const u32 start = inputs_used;
  at = copy_text(at + 1, limit, "\"");
  push(arguments, (u32)(inputs + start));
  push(arguments, inputs_used - start);
  return at + 1;
}

/* The texts go behind the sizes, whose number must be known first. */
static const char* push_map(Arguments* arguments, const char* at, const char* limit) {
  u32 count = 0;
  for (const char* scan = at; scan < limit && *scan != '}'; scan++) count += *scan == '=';
  const u32 start = inputs_used;
  __builtin_memcpy(inputs + start, &count, 4);
  inputs_used += 4 + count * 8;
  at++;
  for (u32 i = 0; i < count; i++) {
    u32 sizes[2];
    for (u32 part = 0; part < 2; part++) {
      const u32 from = inputs_used;
      at = copy_text(at, limit, part == 0 ? "=" : ",}");
      sizes[part] = inputs_used - from;
      inputs[inputs_used++] = 0;
      at += *at != '}';
    }
    __builtin_memcpy(inputs + start + 4 + i * 8, sizes, 8);
  }
  push(arguments, (u32)(inputs + start));
  push(arguments, inputs_used - start);
  return at + 1;
}

static void push_receiver(Arguments* arguments, Text text) {
  const u32 slot = arguments->receivers++;
  const char kind = length(text) == 1 ? '4' : text.at[1] == '>' ? 'b' : text.at[1];
  arguments->kinds[slot] = kind;
  slots[slot][0] = slots[slot][1] = 0;
  push(arguments, (u32)&slots[slot][0]);
  if (kind == 'b' || kind == '{') push(arguments, (u32)&slots[slot][1]);
}

static Arguments read_arguments(Text text, u32 context) {
  Arguments arguments = {0};
  inputs_used = 0;
  for (const char* at = text.at; at < text.end;) {
    if (*at == ' ') {
      at++;
    } else if (*at == '"') {
      at = push_text(&arguments, at, text.end);
    } else if (*at == '{') {
      at = push_map(&arguments, at, text.end);
    } else {
      Text rest = {at, text.end};
      const Text item = word(&rest);
      at = item.end;
      if (item.at[0] == '>') push_receiver(&arguments, item);
      else if (item.at[0] == '$') push(&arguments, last);
      else if (is(item, "me")) push(&arguments, context);
      else if (is(item, "scratch")) push(&arguments, (u32)given);
      else push(&arguments, read_number(item));
    }
  }
  return arguments;
}

/* ---- calling ---- */

static u32 invoke(u32 kind, Any function, const u64* v) {
#define V(i) (u32) v[i]
  switch (kind) {
    case 0: return ((u32(*)(A0))function)();
    case 1: return ((u32(*)(A1))function)(V(0));
    case 2: return ((u32(*)(A2))function)(V(0), V(1));
    case 3: return ((u32(*)(A3))function)(V(0), V(1), V(2));
    case 4: return ((u32(*)(A4))function)(V(0), V(1), V(2), V(3));
    case 5: return ((u32(*)(A5))function)(V(0), V(1), V(2), V(3), V(4));
    case 6: return ((u32(*)(A6))function)(V(0), V(1), V(2), V(3), V(4), V(5));
    case 8: return ((u32(*)(A8))function)(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7));
    case 9: return ((u32(*)(A9))function)(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8));
    case 10: return ((u32(*)(A10))function)(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9));
    case 12:
      return ((u32(*)(A12))function)(V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11));
    case WIDE_iI: return ((u32(*)(T_iI))function)(V(0), v[1]);
    case WIDE_iIi: return ((u32(*)(T_iIi))function)(V(0), v[1], V(2));
    case WIDE_iIii: return ((u32(*)(T_iIii))function)(V(0), v[1], V(2), V(3));
  }
  __builtin_trap();
}

static void report(u32 status, int is_status, const Arguments* arguments) {
  begin();
  if (!is_status) out = put_text(out, " number");
  put_wide(status);
  for (u32 i = 0; status == 0 && i < arguments->receivers; i++) {
    const u32 first = (u32)slots[i][0];
    if (arguments->kinds[i] == '4') put_wide(last = first);
    if (arguments->kinds[i] == '8') put_wide(slots[i][0]);
    if (arguments->kinds[i] == 'b') put_bytes((const char*)first, (u32)slots[i][1]);
    if (arguments->kinds[i] == '{') put_map((const char*)first, (u32)slots[i][1]);
  }
  end();
}

static void call(Text name, Text rest, u32 context) {
  for (u32 i = 0; i < sizeof calls / sizeof *calls; i++) {
    const char* known = calls[i].name;
    const u32 prefix = known[0] == 'p' && known[1] == 'r' && known[2] == 'o' ? 6 : 0;
    if (!is(name, known) && !is(name, known + prefix)) continue;
    const Arguments arguments = read_arguments(rest, context);
    given_used = 0;
    const u32 status = invoke(calls[i].kind, calls[i].function, arguments.values);
    return report(status, calls[i].is_status, &arguments);
  }
  begin();
  out = put(put_text(out, " no host call "), name.at, length(name));
  end();
}

/* ---- callbacks ---- */

static void load_script(void) {
  char* data = 0;
  u32 size = 0;
  given_used = 0;
  if (script_size != 0 || host_proxy_get_buffer_bytes(6, 0, sizeof script, (u32)&data, (u32)&size) != 0) return;
  script_size = size < sizeof script ? size : sizeof script;
  __builtin_memcpy(script, data, script_size);
}

static int came_before(u32 context, const char* callback) {
  u32 hash = context * 31;
  while (*callback != 0) hash = hash * 33 + (u32)*callback++;
  for (u32 i = 0; i < seen_count; i++) {
    if (seen[i] == hash) return 1;
  }
  if (seen_count < 64) seen[seen_count++] = hash;
  return 0;
}

typedef struct {
  const char* name;
  u32 arguments[5];
  u32 count;
  int first, end;
} Event;

static void trace(const Event* event) {
  begin();
  *out++ = ' ';
  out = put_text(out, event->name);
  for (u32 i = 0; i < event->count; i++) out = put_number(out, event->arguments[i]);
  end();
}

static volatile u32 never;

static void run_statement(Text text, const Event* event, u32* result) {
  Text rest = text;
  Text command = word(&rest);
  if (is(command, "first")) {
    if (!event->first) return;
    command = word(&rest);
  } else if (is(command, "end")) {
    if (!event->end) return;
    command = word(&rest);
  }
  if (is(command, "return")) *result = (u32)read_number(word(&rest));
  else if (is(command, "trace")) trace(event);
  else if (is(command, "trap")) __builtin_trap();
  else if (is(command, "spin")) while (!never) {}
  else if (is(command, "exit")) proc_exit(number(word(&rest)));
  else call(command, rest, event->arguments[0]);
}

static u32 run(Event event, u32 result) {
  load_script();
  event.first = !came_before(event.arguments[0], event.name);
  for (const char* at = script; at < script + script_size;) {
    Text text = {at, at};
    while (text.end < script + script_size && *text.end != '\n') text.end++;
    at = text.end + 1;
    const Text callback = word(&text);
    if (is(callback, event.name) || is(callback, "*")) run_statement(text, &event, &result);
  }
  return result;
}

#define ON0(name, result)                                               \
  EXPORT(proxy_on_##name) u32 on_##name(u32 a) {                        \
    return run((Event){#name, {a}, 1, 0, 0}, result);                   \
  }
#define ON_VOID1(name)                                                  \
  EXPORT(proxy_on_##name) void on_##name(u32 a) {                       \
    run((Event){#name, {a}, 1, 0, 0}, 0);                               \
  }
#define ON_VOID2(name)                                                  \
  EXPORT(proxy_on_##name) void on_##name(u32 a, u32 b) {                \
    run((Event){#name, {a, b}, 2, 0, 0}, 0);                            \
  }
#define ON_VOID3(name)                                                  \
  EXPORT(proxy_on_##name) void on_##name(u32 a, u32 b, u32 c) {         \
    run((Event){#name, {a, b, c}, 3, 0, 0}, 0);                         \
  }
#define ON2(name, result)                                               \
  EXPORT(proxy_on_##name) u32 on_##name(u32 a, u32 b) {                 \
    return run((Event){#name, {a, b}, 2, 0, 0}, result);                \
  }
#define ON3(name)                                                       \
  EXPORT(proxy_on_##name) u32 on_##name(u32 a, u32 b, u32 c) {          \
    return run((Event){#name, {a, b, c}, 3, 0, c != 0}, 0);             \
  }

ON_VOID2(context_create)
ON2(vm_start, 1)
ON2(configure, 1)
ON_VOID1(tick)
ON0(done, 1)
ON_VOID1(log)
ON_VOID1(delete)
ON0(new_connection, 0)
ON3(downstream_data)
ON3(upstream_data)
ON_VOID2(downstream_connection_close)
ON_VOID2(upstream_connection_close)
#if ABI == 10
ON2(request_headers, 0)
ON2(response_headers, 0)
#else
ON3(request_headers)
ON3(response_headers)
ON_VOID3(foreign_function)
#endif
ON3(request_body)
ON3(response_body)
ON2(request_trailers, 0)
ON2(response_trailers, 0)
ON_VOID3(grpc_receive_initial_metadata)
ON_VOID3(grpc_receive)
ON_VOID3(grpc_receive_trailing_metadata)
ON_VOID3(grpc_close)
ON_VOID2(queue_ready)

EXPORT(proxy_on_http_call_response) void on_http_call_response(u32 a, u32 b, u32 c, u32 d, u32 e) {
  run((Event){"http_call_response", {a, b, c, d, e}, 5, 0, 0}, 0);
}

#if ABI == 10
EXPORT(proxy_abi_version_0_1_0) void abi_version(void) {}
#elif ABI == 20
EXPORT(proxy_abi_version_0_2_0) void abi_version(void) {}
#else
EXPORT(proxy_abi_version_0_2_1) void abi_version(void) {}
#endif

/* Ways to start. */
__attribute__((unused)) static void started(const char* how) {
  begin();
  *out++ = ' ';
  out = put_text(out, how);
  end();
}
#ifdef START_initialize
EXPORT(_initialize) void initialize(void) { started("_initialize"); }
#endif
#ifdef START_start
EXPORT(_start) void start(void) { started("_start"); }
#endif
#ifdef START_exit
EXPORT(_start) void start(void) {
  started("_start");
  proc_exit(0);
}
#endif
#ifdef START_fail
EXPORT(_start) void start(void) { proc_exit(3); }
#endif
#ifdef START_main
EXPORT(_initialize) void initialize(void) { started("_initialize"); }
EXPORT(main) u32 main_of_module(u32 count, u32 arguments) {
  started("main");
  return count + arguments;
}
#endif
