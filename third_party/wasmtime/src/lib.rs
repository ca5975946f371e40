//! Wasmtime's C API (`wasmtime.h`) as a static library, plus what that API does not reach:
//! the dirty-page scan of the pooling allocator, and a resource limiter that reports a denied growth.
//! The C declarations of the additions stand in `heddle_wasmtime.h` beside this crate.

#![allow(non_camel_case_types)]

pub use wasmtime_c_api::*;

use std::ffi::c_void;
use wasmtime::{Enabled, PoolingAllocationConfig, ResourceLimiter};

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
