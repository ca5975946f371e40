//! Limits how many requests one client may send, with the counters in the host's shared data, so
//! that all workers count together.
//!
//! A client may send `burst` requests; then it is answered 429. With `"refill": true` the client
//! gets `requests_per_second` of them back every second; without it, as in the guide, the counter
//! stays where it is until the plugin's shared data is gone.

use log::{debug, error, warn};
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> {
        Box::new(RateLimitRoot {
            config: RateLimitConfig::default(),
        })
    });
}}

/// Another worker may have changed the counter between our read and our write; then we read again.
/// Every lost round means that somebody else won one, so this bound is never met in practice.
const MAX_ATTEMPTS: u32 = 64;

#[derive(Clone, Debug)]
struct RateLimitConfig {
    requests_per_second: u32,
    burst: u32,
    refill: bool,
}

impl Default for RateLimitConfig {
    fn default() -> Self {
        RateLimitConfig {
            requests_per_second: 100,
            burst: 10,
            refill: false,
        }
    }
}

impl RateLimitConfig {
    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let json: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let default = RateLimitConfig::default();
        Ok(RateLimitConfig {
            requests_per_second: number(&json, "requests_per_second", default.requests_per_second)?,
            burst: number(&json, "burst", default.burst)?,
            refill: match &json["refill"] {
                serde_json::Value::Null => default.refill,
                value => value.as_bool().ok_or("refill must be true or false")?,
            },
        })
    }
}

fn number(json: &serde_json::Value, key: &str, default: u32) -> Result<u32, String> {
    match &json[key] {
        serde_json::Value::Null => Ok(default),
        value => value
            .as_u64()
            .and_then(|n| u32::try_from(n).ok())
            .ok_or_else(|| format!("{key} must be a number from 0 to {}", u32::MAX)),
    }
}

struct RateLimitRoot {
    config: RateLimitConfig,
}

impl Context for RateLimitRoot {}

impl RootContext for RateLimitRoot {
    fn on_configure(&mut self, _: usize) -> bool {
        let Some(bytes) = self.get_plugin_configuration() else {
            return true;
        };
        match RateLimitConfig::parse(&bytes) {
            Ok(config) => {
                self.config = config;
                true
            }
            Err(reason) => {
                error!("rate_limiter: bad configuration: {reason}");
                false
            }
        }
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(RateLimitPlugin {
            config: self.config.clone(),
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct RateLimitPlugin {
    config: RateLimitConfig,
}

impl Context for RateLimitPlugin {}

impl HttpContext for RateLimitPlugin {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let client = self.client();
        if self.take(&format!("ratelimit:{client}")) {
            return Action::Continue;
        }
        debug!("rate_limiter: {client} is over its limit");
        self.send_http_response(
            429,
            vec![("Content-Type", "application/json"), ("Retry-After", "1")],
            Some(b"{\"error\": \"Rate limit exceeded\"}"),
        );
        Action::Pause
    }
}

impl RateLimitPlugin {
    /// Whom to count. X-Forwarded-For comes first because a load balancer in front hides the real
    /// address; where there is none, any client can write that header, so remove it there.
    fn client(&self) -> String {
        if let Some(forwarded) = self.get_http_request_header_bytes("x-forwarded-for") {
            return String::from_utf8_lossy(&forwarded).into_owned();
        }
        let Some(source) = self.get_property(vec!["source", "address"]) else {
            return "unknown".to_string();
        };
        let source = String::from_utf8_lossy(&source).into_owned();
        // The property is address:port, and the port changes with every connection.
        match source.parse::<SocketAddr>() {
            Ok(address) => address.ip().to_string(),
            Err(_) => source,
        }
    }

    /// Counts one request; false when the client has used up its burst.
    fn take(&self, key: &str) -> bool {
        let now = self.get_current_time();
        for _ in 0..MAX_ATTEMPTS {
            let (stored, cas) = self.get_shared_data(key);
            let mut counter = match stored {
                Some(bytes) => Counter::decode(&bytes),
                None => Counter::new(now),
            };
            if self.config.refill {
                counter.refill(now, self.config.requests_per_second);
            }
            if counter.used >= self.config.burst {
                return false;
            }
            counter.used += 1;
            match self.set_shared_data(key, Some(&counter.encode()), cas) {
                Ok(()) => return true,
                Err(Status::CasMismatch) => continue,
                Err(status) => {
                    error!("rate_limiter: cannot store {key}: {status:?}");
                    return true;
                }
            }
        }
        warn!("rate_limiter: gave up counting {key} after {MAX_ATTEMPTS} attempts");
        true
    }
}

/// What is stored for each client: requests used of the burst, and since when, both little-endian.
struct Counter {
    used: u32,
    since: Duration,
}

impl Counter {
    fn new(now: SystemTime) -> Self {
        Counter {
            used: 0,
            since: since_epoch(now),
        }
    }

    fn decode(bytes: &[u8]) -> Self {
        let used = bytes.get(..4).and_then(|part| part.try_into().ok());
        let since = bytes.get(4..12).and_then(|part| part.try_into().ok());
        Counter {
            used: used.map_or(0, u32::from_le_bytes),
            since: Duration::from_nanos(since.map_or(0, u64::from_le_bytes)),
        }
    }

    fn encode(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        bytes[..4].copy_from_slice(&self.used.to_le_bytes());
        bytes[4..].copy_from_slice(&(self.since.as_nanos() as u64).to_le_bytes());
        bytes
    }

    /// Gives back whole requests only; the rest of the time stays in `since` for the next call.
    fn refill(&mut self, now: SystemTime, requests_per_second: u32) {
        if requests_per_second == 0 {
            return;
        }
        let now = since_epoch(now);
        let per_request = Duration::from_secs(1) / requests_per_second;
        let elapsed = now.saturating_sub(self.since);
        let back = elapsed.as_nanos() / per_request.as_nanos().max(1);
        if back >= u128::from(self.used) {
            self.used = 0;
            self.since = now;
        } else {
            self.used -= back as u32;
            self.since += per_request * back as u32;
        }
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
