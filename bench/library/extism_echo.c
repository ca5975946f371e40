/* The same for Extism, written against its kernel's imports as its PDKs are: the output is the
 * input. */
#include <stdint.h>

#define IMPORT(name) __attribute__((import_module("extism:host/env"), import_name(#name)))
IMPORT(input_length) uint64_t input_length(void);
IMPORT(input_load_u64) uint64_t input_load_u64(uint64_t);
IMPORT(input_load_u8) uint32_t input_load_u8(uint64_t);
IMPORT(alloc) uint64_t alloc(uint64_t);
IMPORT(store_u64) void store_u64(uint64_t, uint64_t);
IMPORT(store_u8) void store_u8(uint64_t, uint32_t);
IMPORT(output_set) void output_set(uint64_t, uint64_t);

static union {
  uint8_t bytes[65536];
  uint64_t words[8192];
} text;

/* Into the plugin's memory and out again, as any plugin that looks at its input must. */
__attribute__((export_name("echo"))) int32_t echo(void) {
  const uint64_t length = input_length();
  const uint64_t words = length / 8;
  for (uint64_t i = 0; i < words; ++i) text.words[i] = input_load_u64(i * 8);
  for (uint64_t i = words * 8; i < length; ++i) text.bytes[i] = (uint8_t)input_load_u8(i);
  const uint64_t at = alloc(length);
  for (uint64_t i = 0; i < words; ++i) store_u64(at + i * 8, text.words[i]);
  for (uint64_t i = words * 8; i < length; ++i) store_u8(at + i, text.bytes[i]);
  output_set(at, length);
  return 0;
}
