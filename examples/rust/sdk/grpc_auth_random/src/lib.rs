//! Lets a gRPC call decide about each request: an even status grants access, an odd one does not.

use log::{info, warn};
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::Duration;

const UPSTREAM: &str = "grpcbin";
const SERVICE: &str = "grpcbin.GRPCBin";
const METHOD: &str = "RandomError";
const TIMEOUT: Duration = Duration::from_secs(1);

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_http_context(|_, _| -> Box<dyn HttpContext> { Box::new(GrpcAuthRandom) });
}}

struct GrpcAuthRandom;

impl HttpContext for GrpcAuthRandom {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        let call = self.dispatch_grpc_call(UPSTREAM, SERVICE, METHOD, vec![], None, TIMEOUT);
        if let Err(status) = call {
            warn!("Calling {UPSTREAM} failed: {status:?}");
            self.send_http_response(500, vec![], Some(b"gRPC call failed.\n"));
        }
        Action::Pause
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        self.set_http_response_header("powered-by", Some("proxy-wasm"));
        Action::Continue
    }
}

impl Context for GrpcAuthRandom {
    fn on_grpc_call_response(&mut self, _token: u32, status_code: u32, _response_size: usize) {
        if status_code % 2 == 0 {
            info!("Access granted.");
            self.resume_http_request();
        } else {
            info!("Access forbidden.");
            self.send_http_response(403, vec![], Some(b"Access forbidden.\n"));
        }
    }
}
