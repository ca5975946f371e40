// What Heddle's build of Wasmtime exports beside wasmtime.h; see src/lib.rs.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <wasmtime.h>

#ifdef __cplusplus
extern "C" {
#endif

// Resets only the pages that a guest dirtied (PAGEMAP_SCAN) where the kernel can tell them.
void heddle_wasmtime_pooling_pagemap_scan_auto(wasmtime_pooling_allocation_config_t* config);

// kind 0: linear memory, sizes in bytes; kind 1: table, sizes in elements. Non-zero allows the growth.
typedef uint32_t (*heddle_wasmtime_limiter_t)(void* data, uint32_t kind, uint64_t current, uint64_t desired);

// `data` must outlive the store; `decide` runs on the thread that runs the guest.
void heddle_wasmtime_store_limiter(wasmtime_store_t* store, heddle_wasmtime_limiter_t decide, void* data);

// Differs between engines whose compiled code is not interchangeable.
uint64_t heddle_wasmtime_engine_compatibility(const wasm_engine_t* engine);

// Writes the readable form of a Rust or C++ symbol (or the name itself) to `out`; returns the bytes written, at most
// `capacity`, without a terminating zero. 0 when `name` is not UTF-8.
size_t heddle_wasmtime_demangle(const char* name, size_t length, char* out, size_t capacity);

#ifdef __cplusplus
}
#endif
