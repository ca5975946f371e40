//! Asks a gRPC service about every request before the upstream sees it.
//!
//! The request waits (`Action::Pause`) while `heddle.examples.Auth/Check` runs on the upstream
//! `auth_service`. Status OK lets it go on with the user's name in `x-user`; PERMISSION_DENIED and
//! UNAUTHENTICATED are a 403 with the service's message, anything else a 503.

use log::{error, info};
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;

const AUTH_UPSTREAM: &str = "auth_service";
const AUTH_SERVICE: &str = "heddle.examples.Auth";
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);

const PERMISSION_DENIED: u32 = 7;
const UNAUTHENTICATED: u32 = 16;

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(GrpcAuth) });
}}

struct GrpcAuth;

/// A protobuf message whose only field is string number 1; shorter than 128 bytes.
fn message(text: &[u8]) -> Vec<u8> {
    let text = &text[..text.len().min(127)];
    let mut out = vec![0x0a, text.len() as u8];
    out.extend_from_slice(text);
    out
}

/// The string of such a message.
fn text(message: &[u8]) -> Option<&[u8]> {
    match message {
        [0x0a, length, rest @ ..] if *length < 128 => rest.get(..usize::from(*length)),
        _ => None,
    }
}

impl HttpContext for GrpcAuth {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        // As bytes: the String variant of this call panics on a value that is not UTF-8.
        let token = self
            .get_http_request_header_bytes("authorization")
            .unwrap_or_default();
        let path = self.get_http_request_header_bytes(":path").unwrap_or_default();
        let call = self.dispatch_grpc_call(
            AUTH_UPSTREAM,
            AUTH_SERVICE,
            "Check",
            vec![("x-path", &path)],
            Some(&message(&token)),
            AUTH_TIMEOUT,
        );
        if let Err(status) = call {
            error!("grpc_auth: cannot call upstream {AUTH_UPSTREAM}: {status:?}");
            self.send_http_response(503, vec![], Some(b"Authorization service unavailable"));
        }
        Action::Pause
    }
}

impl Context for GrpcAuth {
    fn on_grpc_call_response(&mut self, _token_id: u32, status_code: u32, response_size: usize) {
        if status_code != 0 {
            let (_, reason) = self.get_grpc_status();
            let reason = reason.unwrap_or_default();
            info!("grpc_auth: request refused with status {status_code}: {reason}");
            match status_code {
                PERMISSION_DENIED | UNAUTHENTICATED => {
                    self.send_http_response(403, vec![], Some(reason.as_bytes()))
                }
                _ => self.send_http_response(503, vec![], Some(b"Authorization service unavailable")),
            }
            return;
        }
        let answer = self
            .get_grpc_call_response_body(0, response_size)
            .unwrap_or_default();
        self.set_http_request_header_bytes("x-user", text(&answer));
        self.resume_http_request();
    }
}
