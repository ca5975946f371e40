//! Wasmtime's C API (`wasmtime.h`) as a static library, plus what that API does not reach:
//! the dirty-page scan of the pooling allocator, a resource limiter that reports a denied growth, the hash that says
//! which compiled code an engine can load, and the demangler of its backtraces.
//! The C declarations of the additions stand in `heddle_wasmtime.h` beside this crate.

#![allow(non_camel_case_types)]

pub use wasmtime_c_api::*;

use std::ffi::c_void;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use wasmtime::{Enabled, Engine, PoolingAllocationConfig, ResourceLimiter};

/// Lets the pooling allocator ask the kernel which pages a guest dirtied and reset only those
/// (`PAGEMAP_SCAN`, Linux 6.7 or later); falls back by itself where the kernel lacks it.
///
/// # Safety
/// `config` comes from `wasmtime_pooling_allocation_config_new` and is not used elsewhere meanwhile.
#[no_mangle]
pub unsafe extern "C" fn heddle_wasmtime_pooling_pagemap_scan_auto(
    config: *mut wasmtime_pooling_allocation_config_t,
) {
    // The C API's type holds exactly one field of this type.
    const _: () = assert!(
        std::mem::size_of::<wasmtime_pooling_allocation_config_t>()
            == std::mem::size_of::<PoolingAllocationConfig>()
    );
    (*config.cast::<PoolingAllocationConfig>()).pagemap_scan(Enabled::Auto);
}

/// Asked before a linear memory (`kind` 0, sizes in bytes) or a table (`kind` 1, sizes in elements) grows.
/// Returns non-zero to allow it.
pub type heddle_wasmtime_limiter_t =
    extern "C" fn(data: *mut c_void, kind: u32, current: u64, desired: u64) -> u32;

struct CallbackLimiter {
    decide: heddle_wasmtime_limiter_t,
    data: *mut c_void,
}

// The store that owns the limiter moves between threads only as a whole, together with `data`.
unsafe impl Send for CallbackLimiter {}
unsafe impl Sync for CallbackLimiter {}

impl ResourceLimiter for CallbackLimiter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|m| desired > m) {
            return Ok(false);
        }
        Ok((self.decide)(self.data, 0, current as u64, desired as u64) != 0)
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|m| desired > m) {
            return Ok(false);
        }
        Ok((self.decide)(self.data, 1, current as u64, desired as u64) != 0)
    }
}

/// Replaces the numeric limiter of a store by `decide`, which the store calls on its own thread.
///
/// # Safety
/// `store` comes from `wasmtime_store_new`; `data` outlives the store.
#[no_mangle]
pub unsafe extern "C" fn heddle_wasmtime_store_limiter(
    store: *mut wasmtime_store_t,
    decide: heddle_wasmtime_limiter_t,
    data: *mut c_void,
) {
    const _: () =
        assert!(std::mem::size_of::<wasmtime_store_t>() == std::mem::size_of::<WasmtimeStore>());
    let mut limiter = Box::new(CallbackLimiter { decide, data });
    (*store.cast::<WasmtimeStore>()).limiter(move |_| {
        let limiter: *mut CallbackLimiter = &mut *limiter;
        // The closure owns the box and lives as long as the store does.
        unsafe { &mut *limiter }
    });
}

/// A number that differs between engines whose compiled code is not interchangeable: version, target, CPU features,
/// settings.
///
/// # Safety
/// `engine` comes from `wasm_engine_new_with_config`.
#[no_mangle]
pub unsafe extern "C" fn heddle_wasmtime_engine_compatibility(engine: *const wasm_engine_t) -> u64 {
    // The C API's type holds exactly one field of this type.
    const _: () = assert!(std::mem::size_of::<wasm_engine_t>() == std::mem::size_of::<Engine>());
    let mut hasher = DefaultHasher::new();
    (*engine.cast::<Engine>())
        .precompile_compatibility_hash()
        .hash(&mut hasher);
    hasher.finish()
}

/// Takes text until it is full, then fails, which ends the demangling of a name made to be endless.
struct Bounded<'a> {
    out: &'a mut [u8],
    used: usize,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut take = text.len().min(self.out.len() - self.used);
        while !text.is_char_boundary(take) {
            take -= 1;
        }
        self.out[self.used..self.used + take].copy_from_slice(&text.as_bytes()[..take]);
        self.used += take;
        if take == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Writes the readable form of a Rust or C++ symbol, or the name itself where it is neither, to `out`. Returns how many
/// bytes it wrote: at most `capacity`; 0 when `name` is not UTF-8.
///
/// # Safety
/// `name` and `out` point to `length` readable and `capacity` writable bytes.
#[no_mangle]
pub unsafe extern "C" fn heddle_wasmtime_demangle(
    name: *const u8,
    length: usize,
    out: *mut u8,
    capacity: usize,
) -> usize {
    let Ok(name) = std::str::from_utf8(std::slice::from_raw_parts(name, length)) else {
        return 0;
    };
    let mut writer = Bounded { out: std::slice::from_raw_parts_mut(out, capacity), used: 0 };
    // A full buffer is the only error, and what fits is the answer.
    let _ = wasmtime_environ::demangle_function_name(&mut writer, name);
    writer.used
}
