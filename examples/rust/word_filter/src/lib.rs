//! A word filter: blocks messages whose text has a forbidden word, in any case. Reads the payload's
//! bytes as they are, so it needs neither a JSON library nor an allocator.
#![no_std]

#[link(wasm_import_module = "env")]
extern "C" {
    fn ourchat_log(level: u32, text: *const u8, length: u32);
}

const INFO: u32 = 2;
const ALLOW: u32 = 0;
const BLOCK: u32 = 1;
const WORDS: [&[u8]; 3] = [b"forbidden", b"casino", b"jackpot"];

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    core::arch::wasm32::unreachable()
}

/// Whether `text` has `word` between bytes that are no letters.
fn has_word(text: &[u8], word: &[u8]) -> bool {
    let is_letter = |at: Option<&u8>| at.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.windows(word.len()).enumerate().any(|(start, part)| {
        part.eq_ignore_ascii_case(word)
            && !is_letter(start.checked_sub(1).and_then(|before| text.get(before)))
            && !is_letter(text.get(start + word.len()))
    })
}

#[no_mangle]
pub extern "C" fn on_message_send(data_ptr: u32, data_len: u32) -> u32 {
    let data = unsafe { core::slice::from_raw_parts(data_ptr as *const u8, data_len as usize) };
    for word in WORDS {
        if has_word(data, word) {
            unsafe { ourchat_log(INFO, word.as_ptr(), word.len() as u32) };
            return BLOCK;
        }
    }
    ALLOW
}
