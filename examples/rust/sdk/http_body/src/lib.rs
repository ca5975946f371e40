//! Hides response bodies that have the word "secret" in them. Rebuilt from the description of the Rust SDK's example
//! of this name.

use proxy_wasm::traits::*;
use proxy_wasm::types::*;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(Redactor) });
}}

struct Redactor;

impl Context for Redactor {}

impl HttpContext for Redactor {
    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        // The length is going to be another one; without the header the body goes out chunked.
        self.set_http_response_header("content-length", None);
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            // The host keeps what came so far; the last call has all of it.
            return Action::Pause;
        }
        let body = self.get_http_response_body(0, size).unwrap_or_default();
        if String::from_utf8_lossy(&body).contains("secret") {
            let text = format!("Original message body ({size} bytes) redacted.\n");
            self.set_http_response_body(0, size, text.as_bytes());
        }
        Action::Continue
    }
}
