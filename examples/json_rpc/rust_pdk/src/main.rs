//! A JSON-RPC plugin written with `wasmi-plugin-pdk` 0.1.0, unchanged: what the framework's own test
//! plugin does, so that every behaviour which its hosts rely on can be seen in Heddle too.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tracing::info;
use wasmi_plugin_pdk::rpc_message::{RpcError, to_rpc_err};
use wasmi_plugin_pdk::server::PluginServer;
use wasmi_plugin_pdk::transport::{JsonRpcTransport, Transport};

type Host = Arc<JsonRpcTransport>;

fn main() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    PluginServer::new_with_transport()
        .with_method("hello", hello)
        .with_method("ping", ping)
        .with_method("many_echo", many_echo)
        .with_method("ask", ask)
        .with_method("sleep", sleep)
        .with_method("prime_sieve", prime_sieve)
        .with_method("get_random_number", get_random_number)
        .with_method("get_time", get_time)
        .run();
}

async fn hello(_: Host, _: Value) -> Result<Value, RpcError> {
    Ok(json!({"message": "Hello from MyPlugin!"}))
}

/// Calls back while it serves: the host must answer request 0 of the plugin.
async fn ping(host: Host, _: ()) -> Result<String, RpcError> {
    info!("ping");
    let answer = host.call("ping", Value::Null).await?;
    if answer.id != 0 || answer.result != "pong" {
        return Err(RpcError::Custom(format!("unexpected answer: {answer:?}")));
    }
    Ok("pong".to_string())
}

async fn many_echo(host: Host, count: u64) -> Result<(), RpcError> {
    for i in 0..count {
        let answer = host.call("echo", json!(i)).await?;
        if answer.id != i || answer.result != json!(i) {
            return Err(RpcError::Custom(format!("unexpected answer: {answer:?}")));
        }
    }
    Ok(())
}

/// Passes a request on to the host: `{"method", "params"}`.
async fn ask(host: Host, request: Value) -> Result<Value, RpcError> {
    let method = request["method"].as_str().ok_or(RpcError::InvalidParams)?;
    Ok(host.call(method, request["params"].clone()).await?.result)
}

async fn sleep(_: Host, milliseconds: u64) -> Result<u64, RpcError> {
    let begun = Instant::now();
    std::thread::sleep(Duration::from_millis(milliseconds));
    Ok(begun.elapsed().as_millis() as u64)
}

async fn prime_sieve(_: Host, limit: usize) -> Result<Value, RpcError> {
    let mut composite = vec![false; limit + 1];
    let mut count = 0;
    for n in 2..=limit {
        if composite[n] {
            continue;
        }
        count += 1;
        for multiple in (n * n..=limit).step_by(n) {
            composite[multiple] = true;
        }
    }
    Ok(json!({"count": count, "limit": limit}))
}

async fn get_random_number(_: Host, _: ()) -> Result<u64, RpcError> {
    use std::hash::{BuildHasher, RandomState};
    Ok(RandomState::new().hash_one(0))
}

async fn get_time(_: Host, _: ()) -> Result<u64, RpcError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(to_rpc_err)?;
    Ok(now.as_secs())
}
