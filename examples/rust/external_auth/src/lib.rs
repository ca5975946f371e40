//! Asks another service about every request before the upstream sees it.
//!
//! The request waits (`Action::Pause`) while `POST /validate` runs against the upstream
//! `auth_service`. The answer `valid` lets the request go on, anything else is a 403.

use log::{error, info};
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;

const AUTH_UPSTREAM: &str = "auth_service";
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(ExternalAuth) });
}}

struct ExternalAuth;

impl ExternalAuth {
    /// The request's token: the Authorization header without its scheme; empty when there is none.
    fn token(&self) -> String {
        // As bytes: the String variant of this call panics on a value that is not UTF-8.
        let header = self
            .get_http_request_header_bytes("Authorization")
            .unwrap_or_default();
        let header = String::from_utf8_lossy(&header);
        header
            .strip_prefix("Bearer ")
            .unwrap_or(&header)
            .trim()
            .to_string()
    }
}

impl HttpContext for ExternalAuth {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        let body = serde_json::json!({ "token": self.token() }).to_string();
        let call = self.dispatch_http_call(
            AUTH_UPSTREAM,
            vec![
                (":method", "POST"),
                (":path", "/validate"),
                (":authority", "auth.internal"),
                ("content-type", "application/json"),
            ],
            Some(body.as_bytes()),
            vec![],
            AUTH_TIMEOUT,
        );
        if let Err(status) = call {
            error!("external_auth: cannot call upstream {AUTH_UPSTREAM}: {status:?}");
            self.send_http_response(503, vec![], Some(b"Authorization service unavailable"));
        }
        Action::Pause
    }
}

impl Context for ExternalAuth {
    fn on_http_call_response(
        &mut self,
        _token_id: u32,
        num_headers: usize,
        body_size: usize,
        _num_trailers: usize,
    ) {
        // No headers at all is how a host reports a call that failed or timed out.
        if num_headers == 0 {
            error!("external_auth: upstream {AUTH_UPSTREAM} did not answer");
        }
        match self.get_http_call_response_body(0, body_size) {
            Some(body) if body == b"valid" => self.resume_http_request(),
            _ => {
                info!("external_auth: request refused");
                self.send_http_response(403, vec![], Some(b"Forbidden"));
            }
        }
    }
}
