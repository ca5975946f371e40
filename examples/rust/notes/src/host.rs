//! The host functions of Heddle that this plugin uses, in safe Rust.
//!
//! A text that the host gives lies behind its length of four bytes, in memory that it asked `allocate` for.

use std::alloc::{alloc, dealloc, Layout};

use serde_json::Value;

mod raw {
    #[link(wasm_import_module = "env")]
    extern "C" {
        pub fn db_query(sql: *const u8, sql_len: usize, params: *const u8, params_len: usize) -> *mut u8;
        pub fn db_execute(sql: *const u8, sql_len: usize, params: *const u8, params_len: usize) -> i32;
        pub fn state_get(key: *const u8, key_len: usize) -> *mut u8;
        pub fn state_set(key: *const u8, key_len: usize, value: *const u8, value_len: usize) -> i32;
        pub fn get_config(key: *const u8, key_len: usize) -> *mut u8;
        pub fn crypto_random(count: usize) -> *mut u8;
        pub fn emit_event(event: *const u8, event_len: usize, payload: *const u8, payload_len: usize) -> i32;
        pub fn log(level: u32, text: *const u8, text_len: usize);
    }
}

pub const ERROR: u32 = 0;

const PREFIX: usize = 4;

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size.max(1), 8).unwrap()
}

/// The host places a handler's input and its own answers here.
#[no_mangle]
pub extern "C" fn allocate(size: usize) -> *mut u8 {
    unsafe { alloc(layout(size)) }
}

/// The host gives back inputs and the answers of handlers, each with the size it has.
#[no_mangle]
pub unsafe extern "C" fn deallocate(pointer: *mut u8, size: usize) {
    dealloc(pointer, layout(size));
}

/// What a handler returns: a length of four bytes, and that many bytes of JSON.
pub fn give(text: &[u8]) -> *const u8 {
    let out = allocate(PREFIX + text.len());
    unsafe {
        out.cast::<[u8; PREFIX]>().write((text.len() as u32).to_le_bytes());
        out.add(PREFIX).copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
    out
}

/// A text of the host, whose memory is given back. The host puts a zero byte behind it.
fn take(pointer: *mut u8) -> Option<Vec<u8>> {
    if pointer.is_null() {
        return None;
    }
    unsafe {
        let length = u32::from_le_bytes(pointer.cast::<[u8; PREFIX]>().read()) as usize;
        let out = std::slice::from_raw_parts(pointer.add(PREFIX), length).to_vec();
        deallocate(pointer, PREFIX + length + 1);
        Some(out)
    }
}

/// The rows of a query, as objects by column. The error is the host's text.
pub fn query(sql: &str, params: &Value) -> Result<Vec<Value>, String> {
    let params = params.to_string();
    let answer = take(unsafe { raw::db_query(sql.as_ptr(), sql.len(), params.as_ptr(), params.len()) });
    let mut answer: Value = serde_json::from_slice(&answer.unwrap_or_default()).map_err(|e| e.to_string())?;
    match answer["error"].take() {
        Value::String(error) => Err(error),
        _ => Ok(serde_json::from_value(answer["rows"].take()).unwrap_or_default()),
    }
}

/// How many rows a statement changed; why it did not is in the plugin's log.
pub fn execute(sql: &str, params: &Value) -> Option<u32> {
    let params = params.to_string();
    let rows = unsafe { raw::db_execute(sql.as_ptr(), sql.len(), params.as_ptr(), params.len()) };
    u32::try_from(rows).ok()
}

pub fn state(key: &str) -> Option<String> {
    take(unsafe { raw::state_get(key.as_ptr(), key.len()) }).and_then(|bytes| String::from_utf8(bytes).ok())
}

/// Whether it was kept.
pub fn set_state(key: &str, value: &str) -> bool {
    unsafe { raw::state_set(key.as_ptr(), key.len(), value.as_ptr(), value.len()) == 1 }
}

/// A key of the plugin's configuration.
pub fn config(key: &str) -> Value {
    let text = take(unsafe { raw::get_config(key.as_ptr(), key.len()) }).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Sixteen characters that nobody can guess.
pub fn random_id() -> String {
    let bytes = take(unsafe { raw::crypto_random(8) }).unwrap_or_default();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn emit(event: &str, payload: &Value) {
    let payload = payload.to_string();
    unsafe { raw::emit_event(event.as_ptr(), event.len(), payload.as_ptr(), payload.len()) };
}

pub fn log(level: u32, text: &str) {
    unsafe { raw::log(level, text.as_ptr(), text.len()) }
}
