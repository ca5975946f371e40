/* What a test plugin logs of what it sees: properties, header maps, buffers, statuses. */
#pragma once

#include "abi.h"
#include "text.h"

static inline u32 path_of(Text dotted, char* out) {
  for (u32 i = 0; i < length(dotted); i++) out[i] = dotted.at[i] == '.' ? 0 : dotted.at[i];
  return length(dotted);
}

static inline void show_property(Text name) {
  char path[128], line[1024];
  char* value = 0;
  u32 size = 0;
  const u32 result = proxy_get_property(path, path_of(name, path), &value, &size);
  char* out = put(put_text(line, "property "), name.at, length(name));
  *out++ = '=';
  out = result == 0 ? put(out, value, size < 512 ? size : 512) : put_number(out, result);
  proxy_log(2, line, (u32)(out - line));
}

/* NAME SIZE HEX, or NAME and the status that there is instead; `sized` leaves the bytes out. */
static inline void show_encoded(Text name, int sized) {
  static const char digits[] = "0123456789abcdef";
  char path[128], line[1200];
  char* value = 0;
  u32 size = 0;
  const u32 result = proxy_get_property(path, path_of(name, path), &value, &size);
  char* out = put(put_text(line, "encoded "), name.at, length(name));
  if (result != 0) {
    out = put_number(put_text(out, " status"), result);
  } else {
    out = put_number(out, size);
    *out++ = ' ';
    for (u32 i = 0; !sized && i < size && i < 256; i++) {
      *out++ = digits[(unsigned char)value[i] >> 4];
      *out++ = digits[value[i] & 15];
    }
  }
  proxy_log(2, line, (u32)(out - line));
}

static inline u32 length_at(const char* data, u32 at) {
  u32 out = 0;
  __builtin_memcpy(&out, data + at, 4);
  return out;
}

/* A line for each pair of a map, after its status and count. */
static inline void show_pairs(u32 map) {
  char line[1200];
  char* data = 0;
  u32 size = 0;
  const u32 result = proxy_get_header_map_pairs(map, &data, &size);
  const u32 count = result == 0 && size >= 4 ? length_at(data, 0) : 0;
  char* out = put_number(put_number(put_number(put_text(line, "pairs"), map), result), count);
  proxy_log(2, line, (u32)(out - line));
  u32 at = 4 + 8 * count;
  for (u32 i = 0; i < count; i++) {
    const u32 key = length_at(data, 4 + 8 * i), value = length_at(data, 8 + 8 * i);
    out = put(put_text(line, "pair "), data + at, key);
    *out++ = '=';
    out = put(out, data + at + key + 1, value < 512 ? value : 512);
    proxy_log(2, line, (u32)(out - line));
    at += key + value + 2;
  }
}

static inline void show_header(u32 map, Text name) {
  char line[1200];
  char* value = 0;
  u32 size = 0;
  const u32 result = proxy_get_header_map_value(map, name.at, length(name), &value, &size);
  char* out = put_number(put(put_text(line, "header "), name.at, length(name)), result);
  *out++ = '=';
  out = put(out, value, size < 512 ? size : 512);
  proxy_log(2, line, (u32)(out - line));
}

static inline void show_buffer(u32 type, u32 start, u32 size) {
  char line[1200];
  char* value = 0;
  u32 got = 0;
  const u32 result = proxy_get_buffer_bytes(type, start, size, &value, &got);
  char* out = put_number(put_number(put_text(line, "buffer"), type), result);
  *out++ = '=';
  out = put(out, value, got < 512 ? got : 512);
  proxy_log(2, line, (u32)(out - line));
}

/* The commands that only look. */
static inline void look(Text command, Text line, u32 last) {
  if (is(command, "property")) show_property(word(&line));
  if (is(command, "hex") || is(command, "size")) show_encoded(word(&line), is(command, "size"));
  if (is(command, "pairs")) show_pairs(number(word(&line)));
  if (is(command, "get")) {
    const u32 map = number(word(&line));
    show_header(map, word(&line));
  }
  if (is(command, "buffer")) {
    const u32 type = number(word(&line));
    const u32 start = number(word(&line));
    show_buffer(type, start, number(word(&line)));
  }
  if (is(command, "last")) {
    char text[32];
    char* out = put_number(put_text(text, "last"), last);
    proxy_log(2, text, (u32)(out - text));
  }
}
