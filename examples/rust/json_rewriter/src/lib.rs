//! Changes a JSON request body: the upstream sees one more field, `"plugin":"json_rewriter"`.
//!
//! A body arrives in chunks. Returning `Action::Pause` keeps what came so far in the host, and the
//! next call is told the size of everything held; at the end of the stream the whole body is there.

use log::info;
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use serde_json::{Map, Value};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> {
        Box::new(JsonRewriter { buffered: 0 })
    });
}}

struct JsonRewriter {
    buffered: usize,
}

impl Context for JsonRewriter {}

impl HttpContext for JsonRewriter {
    fn on_http_request_headers(&mut self, _num_headers: usize, end_of_stream: bool) -> Action {
        if !end_of_stream {
            // The length will change. Heddle would repair it; other hosts leave that to the plugin.
            self.set_http_request_header("content-length", None);
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, body_size: usize, end_of_stream: bool) -> Action {
        self.buffered = body_size;
        if !end_of_stream {
            return Action::Pause;
        }
        self.rewrite()
    }

    /// A body that is followed by trailers never has end_of_stream set: it ends here.
    fn on_http_request_trailers(&mut self, _num_trailers: usize) -> Action {
        self.rewrite()
    }
}

impl JsonRewriter {
    fn rewrite(&self) -> Action {
        let Some(body) = self.get_http_request_body(0, self.buffered) else {
            return Action::Continue;
        };
        match add_field(&body) {
            Ok(rewritten) => {
                self.set_http_request_body(0, body.len(), &rewritten);
                Action::Continue
            }
            Err(reason) => {
                info!("json_rewriter: request refused: {reason}");
                let answer = serde_json::json!({ "error": reason }).to_string();
                self.send_http_response(
                    400,
                    vec![("Content-Type", "application/json")],
                    Some(answer.as_bytes()),
                );
                Action::Pause
            }
        }
    }
}

fn add_field(body: &[u8]) -> Result<Vec<u8>, String> {
    let mut object: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| format!("the body is not a JSON object: {error}"))?;
    object.insert("plugin".to_string(), "json_rewriter".into());
    serde_json::to_vec(&object).map_err(|error| error.to_string())
}
