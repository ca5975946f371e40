//! Metrics, log lines and properties: what a plugin can tell its operator and its neighbours.
//!
//! A counter of requests, a gauge of requests in flight and a histogram of their duration. The
//! calls for metrics are not methods of `Context`: they are functions in `proxy_wasm::hostcalls`.

use log::{debug, error, info, warn};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::*;
use proxy_wasm::types::*;
use std::time::SystemTime;

proxy_wasm::main! {{
    // Log calls below this level cost nothing: they never reach the host.
    proxy_wasm::set_log_level(LogLevel::Debug);
    proxy_wasm::set_root_context(|_| -> Box<dyn RootContext> {
        Box::new(MetricsRoot { metrics: Metrics { requests: 0, active: 0, latency: 0 } })
    });
}}

/// The ids under which the host knows our metrics. Heddle counts them from 0 in the order of
/// definition; other hosts number differently, so we keep what the host gave us.
#[derive(Clone, Copy, Debug)]
struct Metrics {
    requests: u32,
    active: u32,
    latency: u32,
}

impl Metrics {
    fn define() -> Result<Self, Status> {
        Ok(Metrics {
            requests: hostcalls::define_metric(MetricType::Counter, "my_plugin_requests_total")?,
            active: hostcalls::define_metric(MetricType::Gauge, "my_plugin_active_requests")?,
            latency: hostcalls::define_metric(MetricType::Histogram, "my_plugin_latency")?,
        })
    }
}

struct MetricsRoot {
    metrics: Metrics,
}

impl Context for MetricsRoot {}

impl RootContext for MetricsRoot {
    fn on_vm_start(&mut self, _vm_configuration_size: usize) -> bool {
        match Metrics::define() {
            Ok(metrics) => {
                info!("metrics_logger: defined {metrics:?}");
                self.metrics = metrics;
                true
            }
            Err(status) => {
                error!("metrics_logger: cannot define metrics: {status:?}");
                false
            }
        }
    }

    fn create_http_context(&self, _context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(MetricsLogger {
            metrics: self.metrics,
            started: self.get_current_time(),
            counted: false,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct MetricsLogger {
    metrics: Metrics,
    started: SystemTime,
    counted: bool,
}

impl Context for MetricsLogger {}

impl HttpContext for MetricsLogger {
    fn on_http_request_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        report(hostcalls::increment_metric(self.metrics.requests, 1));
        report(hostcalls::increment_metric(self.metrics.active, 1));
        self.counted = true;

        let path = self.property(vec!["request", "path"]);
        debug!("metrics_logger: request for {path}");
        // Any plugin that runs later in this exchange can read it, and so can we.
        self.set_property(vec!["custom", "key"], Some(path.as_bytes()));
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _num_headers: usize, _end_of_stream: bool) -> Action {
        let value = self.property(vec!["custom", "key"]);
        self.set_http_response_header("X-Custom-Key", Some(&value));
        Action::Continue
    }

    fn on_log(&mut self) {
        let elapsed = self
            .get_current_time()
            .duration_since(self.started)
            .unwrap_or_default();
        let milliseconds = elapsed.as_millis() as u64;
        if self.counted {
            report(hostcalls::increment_metric(self.metrics.active, -1));
            report(hostcalls::record_metric(self.metrics.latency, milliseconds));
        }
        info!(
            "metrics_logger: {} took {milliseconds} ms",
            self.property(vec!["custom", "key"])
        );
    }
}

impl MetricsLogger {
    fn property(&self, path: Vec<&str>) -> String {
        let value = self.get_property(path).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    }
}

fn report(result: Result<(), Status>) {
    if let Err(status) = result {
        warn!("metrics_logger: the host refused a metric: {status:?}");
    }
}
