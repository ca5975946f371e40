//! The smallest useful plugin: every request reaches the upstream with one more header.

use proxy_wasm::traits::*;
use proxy_wasm::types::*;

proxy_wasm::main! {{
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> {
        Box::new(MinimalPlugin)
    });
}}

struct MinimalPlugin;

impl Context for MinimalPlugin {}

impl HttpContext for MinimalPlugin {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.add_http_request_header("X-Plugin", "minimal");
        Action::Continue
    }
}
