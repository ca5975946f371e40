//! The basic plugin of the wasmi plugin framework, with its crate `wasmi-plugin-pdk` 0.1.0: one method,
//! which the basic host (examples/embed/cpp/basic_host.cc) calls. It may ask the host for "echo".

use std::sync::Arc;

use serde_json::{Value, json};
use wasmi_plugin_pdk::rpc_message::RpcError;
use wasmi_plugin_pdk::server::PluginServer;
use wasmi_plugin_pdk::transport::{JsonRpcTransport, Transport};

async fn hello(_host: Arc<JsonRpcTransport>, _params: Value) -> Result<Value, RpcError> {
    Ok(json!({"message": "Hello from MyPlugin!"}))
}

async fn ask_host(host: Arc<JsonRpcTransport>, params: Value) -> Result<Value, RpcError> {
    Ok(host.call("echo", params).await?.result)
}

fn main() {
    PluginServer::new_with_transport()
        .with_method("hello", hello)
        .with_method("ask_host", ask_host)
        .run();
}
