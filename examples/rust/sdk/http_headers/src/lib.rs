//! Logs all headers of both directions and answers `/hello` itself. Rebuilt from the description of the Rust SDK's
//! example of this name.

use log::info;
use proxy_wasm::traits::*;
use proxy_wasm::types::*;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> { Box::new(Root) });
}}

struct Root;

impl Context for Root {}

impl RootContext for Root {
    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Headers { id }))
    }
}

struct Headers {
    id: u32,
}

impl Context for Headers {}

impl HttpContext for Headers {
    fn on_http_request_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        for (name, value) in self.get_http_request_headers_bytes() {
            info!("#{} -> {name}: {}", self.id, String::from_utf8_lossy(&value));
        }
        match self.get_http_request_header_bytes(":path") {
            Some(path) if path == b"/hello" => {
                let headers = vec![("Hello", "World"), ("Powered-By", "proxy-wasm")];
                self.send_http_response(200, headers, Some(b"Hello, World!\n"));
                Action::Pause
            }
            _ => Action::Continue,
        }
    }

    fn on_http_response_headers(&mut self, _count: usize, _end_of_stream: bool) -> Action {
        for (name, value) in self.get_http_response_headers_bytes() {
            info!("#{} <- {name}: {}", self.id, String::from_utf8_lossy(&value));
        }
        Action::Continue
    }

    fn on_log(&mut self) {
        info!("#{} completed.", self.id);
    }
}
