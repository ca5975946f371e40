//! Lets about half of all requests pass: each waits for a byte from another service, and only an even one grants
//! access. Rebuilt from the description of the Rust SDK's example of this name.

use log::info;
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;

const SERVICE: &str = "httpbin";

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(Guard) });
}}

struct Guard;

impl Guard {
    fn refuse(&self) {
        info!("Access forbidden.");
        let headers = vec![("Powered-By", "proxy-wasm")];
        self.send_http_response(403, headers, Some(b"Access forbidden.\n"));
    }
}

impl Context for Guard {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, size: usize, _trailers: usize) {
        let body = self.get_http_call_response_body(0, size);
        match body.as_deref().and_then(<[u8]>::first) {
            Some(byte) if byte % 2 == 0 => {
                info!("Access granted.");
                self.resume_http_request();
            }
            _ => self.refuse(),
        }
    }
}

impl HttpContext for Guard {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        let request = vec![(":method", "GET"), (":path", "/bytes/1"), (":authority", "httpbin.org")];
        let timeout = Duration::from_secs(5);
        if self.dispatch_http_call(SERVICE, request, None, vec![], timeout).is_err() {
            self.refuse();
        }
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        self.set_http_response_header("Powered-By", Some("proxy-wasm"));
        Action::Continue
    }
}
