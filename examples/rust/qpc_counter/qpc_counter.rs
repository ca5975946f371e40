//! A native_hook in Rust: counts what passes, and rejects sealed senders once more than a thousand
//! of their messages have passed. A panic ends the process (`-C panic=abort`), it never crosses the
//! C interface.
use std::ffi::c_void;
use std::sync::atomic::{AtomicU64, Ordering};

/// The event and the table as `qpc_plugin.h` lays them out.
#[repr(C)]
pub struct CMessageEvent {
    sender_identity: *const u8,
    sender_identity_len: usize,
    recipient_key: *const u8,
    recipient_key_len: usize,
    channel_id: *const u8,
    channel_id_len: usize,
    payload_len: usize,
    seq: u64,
}

type Slot = Option<unsafe extern "C" fn()>; // of hooks that this plugin leaves empty

#[repr(C)]
pub struct HookVTable {
    user_data: *mut c_void,
    on_message_enqueue: Option<unsafe extern "C" fn(*mut c_void, *const CMessageEvent) -> i32>,
    on_batch_enqueue: Slot,
    on_auth: Slot,
    on_channel_created: Slot,
    on_fetch: Slot,
    on_user_registered: Slot,
    error_message: Option<unsafe extern "C" fn(*mut c_void) -> *const u8>,
    destroy: Option<unsafe extern "C" fn(*mut c_void)>,
    on_shutdown: Slot,
}
const _: () = assert!(std::mem::size_of::<CMessageEvent>() == 64);
const _: () = assert!(std::mem::size_of::<HookVTable>() == 80);

const HOOK_CONTINUE: i32 = 0;
const HOOK_REJECT: i32 = 1;
const MOST_SEALED: u64 = 1_000;

#[derive(Default)]
struct Counter {
    known: AtomicU64,
    sealed: AtomicU64,
}

unsafe extern "C" fn on_message_enqueue(data: *mut c_void, event: *const CMessageEvent) -> i32 {
    let counter = &*(data as *const Counter);
    if !(*event).sender_identity.is_null() {
        counter.known.fetch_add(1, Ordering::Relaxed);
        return HOOK_CONTINUE;
    }
    if counter.sealed.fetch_add(1, Ordering::Relaxed) < MOST_SEALED {
        HOOK_CONTINUE
    } else {
        HOOK_REJECT
    }
}

unsafe extern "C" fn error_message(_data: *mut c_void) -> *const u8 {
    c"too many messages of sealed senders".as_ptr().cast()
}

unsafe extern "C" fn destroy(data: *mut c_void) {
    let counter = Box::from_raw(data as *mut Counter);
    eprintln!(
        "qpc_counter: {} messages of known and {} of sealed senders",
        counter.known.load(Ordering::Relaxed),
        counter.sealed.load(Ordering::Relaxed)
    );
}

/// # Safety
/// The server passes a zeroed table that it owns.
#[no_mangle]
pub unsafe extern "C" fn qpc_plugin_init(vtable: *mut HookVTable) -> i32 {
    let table = &mut *vtable;
    table.user_data = Box::into_raw(Box::<Counter>::default()).cast();
    table.on_message_enqueue = Some(on_message_enqueue);
    table.error_message = Some(error_message);
    table.destroy = Some(destroy);
    0
}
