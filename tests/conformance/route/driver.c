/* A route plugin that makes the host calls of a request's body and answers with what came back, a line each.
 *
 *   STATEMENT            a host call with its arguments; or one of the words in `words` below
 *   return HOW …         what the handler returns instead of those lines
 *
 * Arguments: a number; `end` (the size of memory), `end-N`; 'text' (pointer and size; \xNN is a byte); `x*N` (N times the letter x).
 * A text that a host call gave is written as it is, `null` when it gave none.
 *
 * Compiled with -DSDK for the current Orbis dialect instead of the guide's, and:
 *   -DALLOC=name -DDEALLOC=name      its allocator, which gives -DGIVES=address instead of memory
 *   -DALLOC_WRONG, -DALLOC_TRAPS     an allocator of another type, one that traps
 *   -DINIT=number, -DINIT_VOID, -DINIT_TRAPS, -DINIT_SPINS, -DINIT_WAITS, -DSTART
 *   -DCLEANUP, -DCLEANUP_VOID, -DCLEANUP_TRAPS; -DEXECUTE=number, -DEXECUTE_TRAPS */
#include "../../plugins/text.h"

#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) extern
#define NAMED(name) __attribute__((export_name(name)))
#define QUOTE(name) #name
#define TEXT_OF(name) QUOTE(name)

#ifdef SDK
IMPORT(db_query) u32 host_db_query(u32, u32, u32, u32);
IMPORT(db_execute) u32 host_db_execute(u32, u32, u32, u32);
IMPORT(http_request) u32 host_http_request(u32, u32, u32, u32, u32, u32, u32, u32);
IMPORT(log) void host_log(u32, u32, u32);
IMPORT(state_get) u32 host_state_get(u32, u32);
IMPORT(state_set) u32 host_state_set(u32, u32, u32, u32);
IMPORT(state_remove) u32 host_state_remove(u32, u32);
IMPORT(get_config) u32 host_get_config(u32, u32);
IMPORT(crypto_hash) u32 host_crypto_hash(u32, u32, u32);
IMPORT(crypto_random) u32 host_crypto_random(u32);
IMPORT(emit_event) u32 host_emit_event(u32, u32, u32, u32);
#else
IMPORT(db_query) u32 host_db_query(u32, u32);
IMPORT(db_execute) u32 host_db_execute(u32, u32);
IMPORT(http_request) u32 host_http_request(u32, u32, u32, u32, u32, u32);
IMPORT(log_info) void host_log_info(u32, u32);
IMPORT(log_warn) void host_log_warn(u32, u32);
IMPORT(log_error) void host_log_error(u32, u32);
IMPORT(log_debug) void host_log_debug(u32, u32);
#endif

typedef enum { TEXT, BYTES, NUMBER, NOTHING } Gives;
typedef void (*Any)(void);
static const struct {
  const char* name;
  u32 parameters;
  Gives gives;
  Any function;
} calls[] = {
#define CALL(name, parameters, gives) {#name, parameters, gives, (Any)host_##name}
#ifdef SDK
    CALL(db_query, 4, TEXT),      CALL(db_execute, 4, NUMBER),  CALL(http_request, 8, TEXT), CALL(log, 3, NOTHING),
    CALL(state_get, 2, TEXT),     CALL(state_set, 4, NUMBER),   CALL(state_remove, 2, NUMBER), CALL(get_config, 2, TEXT),
    CALL(crypto_hash, 3, TEXT),   CALL(crypto_random, 1, BYTES), CALL(emit_event, 4, NUMBER),
#else
    CALL(db_query, 2, TEXT),      CALL(db_execute, 2, NUMBER),  CALL(http_request, 6, TEXT), CALL(log_info, 2, NOTHING),
    CALL(log_warn, 2, NOTHING),   CALL(log_error, 2, NOTHING),  CALL(log_debug, 2, NOTHING),
#endif
};

static u32 result; /* what the handler returns; 0: the lines */
static u32 returned;
static u32 served, freed_times, freed_bytes;

/* ---- memory ---- */

extern unsigned char __heap_base, __heap_end;
static u32 heap, heap_end;

static u32 memory_size(void) { return (u32)__builtin_wasm_memory_size(0) * 65536u; }

static char* take(u32 size) {
  if (heap == 0) {
    heap = ((u32)&__heap_base + 15u) & ~15u;
    heap_end = (u32)&__heap_end;
  }
  if (size > heap_end - heap) { /* the host may have grown the memory meanwhile: the new pages need not follow */
    const u32 pages = size / 65536u + 1, first = (u32)__builtin_wasm_memory_grow(0, pages);
    if (first == ~0u) __builtin_trap();
    heap = first * 65536u;
    heap_end = heap + pages * 65536u;
  }
  const u32 at = heap;
  heap = heap + size > heap_end - 15u ? heap_end : (heap + size + 15u) & ~15u;
  return (char*)at;
}

static void fill(char* at, char with, u32 size) {
  for (u32 i = 0; i < size; i++) at[i] = with;
}

#ifdef ALLOC
NAMED(TEXT_OF(ALLOC)) u32 allocator(u32 size) {
#ifdef GIVES
  return size * 0 + GIVES;
#else
  return (u32)take(size);
#endif
}
#endif
#ifdef ALLOC_WRONG
NAMED("alloc") u32 allocator(void) { return 0; }
#endif
#ifdef ALLOC_TRAPS
NAMED("alloc") u32 allocator(u32 size) {
  if (size != 0) __builtin_trap();
  return 0;
}
#endif
#ifdef DEALLOC
NAMED(TEXT_OF(DEALLOC)) void deallocator(u32 address, u32 size) {
  freed_times += address != 0;
  freed_bytes += size;
}
#endif

/* ---- the script and its lines ---- */

static char script[1 << 16];
static char lines[1 << 18];
static char* out;

static u32 hex_digit(char c) { return (u32)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10); }

/* The request's body, out of the JSON of the handler's input; it is a text without characters beyond ASCII. */
static Text body_of(const char* at, u32 size) {
  static const char key[] = "\"body\":\"";
  const char* end = at + size;
  for (; at + sizeof key <= end; at++) {
    u32 same = 0;
    while (same < sizeof key - 1 && at[same] == key[same]) same++;
    if (same == sizeof key - 1) break;
  }
  char* to = script;
  for (at += sizeof key - 1; at < end && *at != '"' && to < script + sizeof script; at++) {
    if (*at != '\\') {
      *to++ = *at;
    } else if (*++at == 'n') {
      *to++ = '\n';
    } else if (*at == 'u') {
      *to++ = (char)(hex_digit(at[3]) * 16 + hex_digit(at[4]));
      at += 4;
    } else {
      *to++ = *at;
    }
  }
  return (Text){script, to};
}

static void put_signed(int value) {
  char digits[11];
  u32 count = 0, rest = value < 0 ? 0u - (u32)value : (u32)value;
  if (value < 0) *out++ = '-';
  do digits[count++] = (char)('0' + rest % 10);
  while ((rest /= 10) != 0);
  while (count > 0) *out++ = digits[--count];
}

static u32 load(u32 address) {
  u32 value;
  __builtin_memcpy(&value, (const char*)address, 4);
  return value;
}

/* A text of the host: the guide's functions give the bytes, with the length before and NUL behind them; the SDK's the length. */
static void put_given(u32 address, Gives gives) {
  if (address == 0) {
    out = put_text(out, "null");
    return;
  }
#ifdef SDK
  const u32 size = load(address), text = address + 4;
#else
  const u32 size = load(address - 4), text = address;
#endif
  if (((const char*)text)[size] != 0) out = put_text(out, "unterminated ");
  if (gives == BYTES) {
    put_signed((int)size);
    out = put_text(out, " bytes");
  } else if (size == 0) {
    out = put_text(out, "empty");
  } else {
    out = put(out, (const char*)text, size < 4000 ? size : 4000);
  }
}

/* ---- arguments ---- */

typedef struct {
  u32 values[8];
  u32 count;
} Arguments;

static u32 read_number(Text text) {
  if (length(text) >= 3 && text.at[0] == 'e') {
    return memory_size() - (length(text) > 4 ? number((Text){text.at + 4, text.end}) : 0);
  }
  return text.at[0] == '-' ? 0u - number((Text){text.at + 1, text.end}) : number(text);
}

/* 'text'; returns what is behind it. */
static const char* read_text(const char* at, const char* end, Text* text) {
  char* to = take((u32)(end - at) + 1);
  text->at = to;
  for (at++; at < end && *at != '\''; at++) {
    if (*at == '\\' && at + 3 < end && at[1] == 'x') {
      *to++ = (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
      at += 3;
    } else {
      *to++ = *at;
    }
  }
  text->end = to;
  return at + 1;
}

static Text repeated(u32 size) {
  char* at = take(size);
  fill(at, 'x', size);
  return (Text){at, at + size};
}

static Arguments read_arguments(Text text) {
  Arguments arguments = {0};
  for (const char* at = text.at; at < text.end && arguments.count < 8;) {
    if (*at == ' ') {
      at++;
      continue;
    }
    Text given = {0, 0}, rest = {at, text.end};
    if (*at == '\'') {
      at = read_text(at, text.end, &given);
    } else {
      const Text item = word(&rest);
      at = item.end;
      if (item.at[0] != 'x') {
        arguments.values[arguments.count++] = read_number(item);
        continue;
      }
      given = repeated(number((Text){item.at + 2, item.end}));
    }
    arguments.values[arguments.count++] = (u32)given.at;
    arguments.values[arguments.count++] = length(given);
  }
  return arguments;
}

/* ---- what `return` says ---- */

static char* prefixed(u32 size) {
  char* at = take(size + 4);
  __builtin_memcpy(at, &size, 4);
  result = (u32)at;
  return at + 4;
}

static void return_text(Text how, Text text, u32 claimed) {
  const u32 size = length(text);
  if (is(how, "prefixed")) {
    put(prefixed(size), text.at, size);
  } else if (is(how, "length")) { /* a length that is not the text's */
    put(prefixed(size), text.at, size);
    __builtin_memcpy((char*)result, &claimed, 4);
  } else if (is(how, "bare")) { /* and what lies behind it is no JSON */
    char* at = take(size + 64);
    fill(at, (char)0xA5, size + 64);
    put(at, text.at, size);
    result = (u32)at;
  } else if (is(how, "last")) { /* the last bytes of the memory */
    result = memory_size() - size;
    put((char*)result, text.at, size);
  } else {
    __builtin_trap();
  }
}

/* A JSON string, or arrays in arrays, of `size` bytes altogether. */
static void return_sized(Text how, u32 size) {
  char* at = is(how, "big_bare") ? take(size + 16) : prefixed(size);
  if (is(how, "deep")) {
    fill(at, '[', size / 2);
    fill(at + size / 2, ']', size / 2);
    return;
  }
  fill(at, 'x', size);
  at[0] = at[size - 1] = '"';
  if (is(how, "big_bare")) {
    at[size] = 0;
    result = (u32)at;
  }
}

static void give_back(Text rest) {
  const Text how = word(&rest);
  returned = 1;
  if (is(how, "at")) {
    result = read_number(word(&rest));
  } else if (is(how, "big") || is(how, "big_bare") || is(how, "deep")) {
    return_sized(how, number(word(&rest)));
  } else {
    const u32 claimed = is(how, "length") ? read_number(word(&rest)) : 0;
    Text text;
    read_text(rest.at, rest.end, &text);
    return_text(how, text, claimed);
  }
}

/* ---- statements ---- */

static u32 invoke(Any f, u32 count, const u32* v) {
  switch (count) {
    case 1: return ((u32(*)(u32))f)(v[0]);
    case 2: return ((u32(*)(u32, u32))f)(v[0], v[1]);
    case 3: return ((u32(*)(u32, u32, u32))f)(v[0], v[1], v[2]);
    case 4: return ((u32(*)(u32, u32, u32, u32))f)(v[0], v[1], v[2], v[3]);
    case 6: return ((u32(*)(u32, u32, u32, u32, u32, u32))f)(v[0], v[1], v[2], v[3], v[4], v[5]);
    case 8:
      return ((u32(*)(u32, u32, u32, u32, u32, u32, u32, u32))f)(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]);
  }
  __builtin_trap();
}

static void call(Text name, Text rest) {
  for (u32 i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (!is(name, calls[i].name)) continue;
    const Arguments arguments = read_arguments(rest);
    if (arguments.count != calls[i].parameters) __builtin_trap();
    if (calls[i].gives == NOTHING && arguments.count == 2) {
      ((void (*)(u32, u32))calls[i].function)(arguments.values[0], arguments.values[1]);
    } else if (calls[i].gives == NOTHING) {
      ((void (*)(u32, u32, u32))calls[i].function)(arguments.values[0], arguments.values[1], arguments.values[2]);
    } else {
      const u32 value = invoke(calls[i].function, arguments.count, arguments.values);
      if (calls[i].gives == NUMBER) put_signed((int)value);
      else put_given(value, calls[i].gives);
      return;
    }
    out = put_text(out, "done");
    return;
  }
  out = put(put_text(out, "no host call "), name.at, length(name));
}

static u32 deeper(volatile u32 depth) { return depth == ~0u ? 0 : deeper(depth + 1) + depth; }

static void statement(Text text) {
  Text rest = text;
  const Text name = word(&rest);
  if (is(name, "return")) return give_back(rest);
  if (is(name, "trap")) __builtin_trap();
  if (is(name, "spin")) for (volatile u32 i = 0;; i++) {}
  if (is(name, "recurse")) return put_signed((int)deeper(0));
  if (is(name, "wild")) return put_signed((int)load(0xfffffff0u));
  if (is(name, "grow")) return put_signed((int)__builtin_wasm_memory_grow(0, number(word(&rest))));
  if (is(name, "served")) return put_signed((int)served);
  if (is(name, "freed")) return put_signed(freed_bytes > 0 ? (int)freed_times : 0);
  if (is(name, "repeat")) { /* the last time is written */
    char* const start = out;
    for (u32 left = number(word(&rest)); left > 0; left--) {
      out = start;
      statement(rest);
    }
    return;
  }
  call(name, rest);
}

static u32 envelope(void) {
  static const char before[] = "{\"status\":200,\"headers\":{\"content-type\":\"text/plain\"},\"body\":\"";
  const u32 size = (u32)(out - lines);
  char* const start = take(size * 6 + sizeof before + 8);
  char* to = put_text(start + 4, before);
  for (const char* at = lines; at < out; at++) {
    if (*at == '"' || *at == '\\') *to++ = '\\';
    if (*at == '\n') {
      to = put_text(to, "\\n");
    } else if ((unsigned char)*at < 0x20) { /* whatever it was */
      to = put_text(to, "\\u0001");
    } else {
      *to++ = *at;
    }
  }
  to = put_text(to, "\"}");
  const u32 whole = (u32)(to - start) - 4;
  __builtin_memcpy(start, &whole, 4);
  return (u32)start;
}

NAMED("run") u32 run(const char* input, u32 size) {
  const Text text = body_of(input, size);
  served++;
  returned = 0;
  out = lines;
  for (const char* at = text.at; at < text.end;) {
    Text line = {at, at};
    while (line.end < text.end && *line.end != '\n') line.end++;
    at = line.end + 1;
    statement(line);
    *out++ = '\n';
  }
  return returned ? result : envelope();
}

/* What the handler got. */
NAMED("echo") u32 echo(const char* input, u32 size) {
  put(prefixed(size), input, size);
  return result;
}

/* ---- the life of an instance ---- */

__attribute__((unused)) static void say(const char* text) {
  u32 size = 0;
  while (text[size] != 0) size++;
#ifdef SDK
  host_log(2, (u32)text, size);
#else
  host_log_info((u32)text, size);
#endif
}

#ifdef START
NAMED("_initialize") void start(void) { say("initialized"); }
#endif
#ifdef INIT
NAMED("init") int init(void) { return INIT; }
#endif
#ifdef INIT_VOID
NAMED("init") void init(void) { say("init ran"); }
#endif
#ifdef INIT_TRAPS
NAMED("init") int init(void) { __builtin_trap(); }
#endif
#ifdef INIT_SPINS
NAMED("init") int init(void) {
  for (volatile u32 i = 0;; i++) {}
}
#endif
#ifdef INIT_WAITS
static const char create[] = "create table if not exists started (at integer)";
NAMED("init") int init(void) {
#ifdef SDK
  return (int)host_db_execute((u32)create, sizeof create - 1, 0, 0);
#else
  return (int)host_db_execute((u32)create, sizeof create - 1);
#endif
}
#endif
#ifdef CLEANUP
NAMED("cleanup") int cleanup(void) {
  say("cleanup ran");
  return 0;
}
#endif
#ifdef CLEANUP_VOID
NAMED("cleanup") void cleanup(void) { say("cleanup ran"); }
#endif
#ifdef CLEANUP_TRAPS
NAMED("cleanup") int cleanup(void) { __builtin_trap(); }
#endif
#ifdef EXECUTE
NAMED("execute") int execute(void) { return EXECUTE; }
#endif
#ifdef EXECUTE_TRAPS
NAMED("execute") int execute(void) { __builtin_trap(); }
#endif
