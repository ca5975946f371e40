//! The same answer of 200 bytes of JSON twice: as a route plugin of Heddle (wasm32-unknown-unknown) and as a component for
//! `wasmtime serve` (wasm32-wasip2). Both read the name out of the query.

use serde::Serialize;

#[derive(Serialize)]
struct Item<'a> {
    id: u64,
    name: &'a str,
    description: &'a str,
    tags: [&'a str; 3],
    price: f64,
    available: bool,
}

fn answer(name: &str) -> Vec<u8> {
    let item = Item {
        id: 4711,
        name,
        description: "An item of the catalogue, with a description that makes the whole answer about two hundred bytes",
        tags: ["new", "small", "blue"],
        price: 12.5,
        available: true,
    };
    serde_json::to_vec(&item).unwrap_or_default()
}

#[cfg(target_env = "p2")]
mod component {
    use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

    struct Component;

    impl wasip2::exports::http::incoming_handler::Guest for Component {
        fn handle(request: IncomingRequest, out: ResponseOutparam) {
            let target = request.path_with_query().unwrap_or_default();
            let name = target.split_once("name=").map_or("", |(_, name)| name);
            let text = super::answer(name);
            let headers = Fields::new();
            let _ = headers.set("content-type", &[b"application/json".to_vec()]);
            let _ = headers.set("content-length", &[text.len().to_string().into_bytes()]);
            let response = OutgoingResponse::new(headers);
            let Ok(body) = response.body() else { return };
            ResponseOutparam::set(out, Ok(response));
            if let Ok(stream) = body.write() {
                let _ = stream.blocking_write_and_flush(&text);
            }
            let _ = OutgoingBody::finish(body, None);
        }
    }

    wasip2::http::proxy::export!(Component);
}

#[cfg(not(target_env = "p2"))]
mod handler {
    use serde::Deserialize;
    use std::collections::HashMap;

    #[derive(Deserialize)]
    struct Input<'a> {
        #[serde(borrow)]
        query: HashMap<&'a str, &'a str>,
    }

    #[unsafe(no_mangle)]
    pub extern "C" fn alloc(size: usize) -> *mut u8 {
        Vec::leak(Vec::with_capacity(size.max(1))).as_mut_ptr()
    }

    /// # Safety
    /// `pointer` comes from `alloc(size)`, or is a result of that size.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn dealloc(pointer: *mut u8, size: usize) {
        drop(unsafe { Vec::from_raw_parts(pointer, 0, size.max(1)) });
    }

    unsafe extern "C" {
        fn http_request(
            method: *const u8, method_size: usize, url: *const u8, url_size: usize, body: *const u8, body_size: usize,
        ) -> *const u8;
    }

    unsafe fn parameter<'a>(input: *const u8, size: usize, name: &str) -> &'a str {
        let text = unsafe { std::slice::from_raw_parts(input, size) };
        let input: Input = serde_json::from_slice(text).unwrap_or(Input { query: HashMap::new() });
        input.query.get(name).copied().unwrap_or("")
    }

    /// # Safety
    /// The host gives a pointer and the size behind it.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn item(input: *const u8, size: usize) -> *const u8 {
        let body = super::answer(unsafe { parameter(input, size, "name") });
        let mut out = Vec::with_capacity(body.len() + 4);
        out.extend_from_slice(&(body.len() as u32).to_le_bytes());
        out.extend_from_slice(&body);
        out.leak().as_ptr()
    }

    /// Waits for an upstream.
    ///
    /// # Safety
    /// The host gives a pointer and the size behind it.
    #[unsafe(no_mangle)]
    pub unsafe extern "C" fn wait(input: *const u8, size: usize) -> *const u8 {
        let url = unsafe { parameter(input, size, "url") };
        unsafe { http_request(b"GET".as_ptr(), 3, url.as_ptr(), url.len(), std::ptr::null(), 0) }
    }
}
