// What Heddle's build of Wasmtime exports beside wasmtime.h; see src/lib.rs.
#pragma once
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

#ifdef __cplusplus
}
#endif
