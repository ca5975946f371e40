/* Texts without a C library: words of a line, numbers, writing into a buffer. */
#pragma once

#include "abi.h"

typedef struct {
  const char* at;
  const char* end;
} Text;

static inline u32 length(Text text) {
  return (u32)(text.end - text.at);
}

static inline Text word(Text* line) {
  while (line->at < line->end && *line->at == ' ') line->at++;
  Text out = {line->at, line->at};
  while (out.end < line->end && *out.end != ' ') out.end++;
  line->at = out.end < line->end ? out.end + 1 : out.end;
  return out;
}

static inline int is(Text text, const char* name) {
  const char* at = text.at;
  while (at < text.end && *name != 0 && *at == *name) at++, name++;
  return at == text.end && *name == 0;
}

static inline u32 number(Text text) {
  u32 value = 0;
  for (const char* at = text.at; at < text.end; at++) value = value * 10 + (u32)(*at - '0');
  return value;
}

static inline char* put(char* out, const char* text, u32 size) {
  for (u32 i = 0; i < size; i++) *out++ = text[i];
  return out;
}

static inline char* put_text(char* out, const char* text) {
  while (*text != 0) *out++ = *text++;
  return out;
}

static inline char* put_number(char* out, u32 value) {
  char digits[10];
  u32 count = 0;
  do digits[count++] = (char)('0' + value % 10);
  while ((value /= 10) != 0);
  *out++ = ' ';
  while (count > 0) *out++ = digits[--count];
  return out;
}
