//! The framework's own host, for a comparison with Heddle: calls the plugin `argv[1]` as standard input says, a line
//! `COUNT METHOD PARAMS` each, and prints a line when it is done. The protocol of calls.cc.

use std::io::BufRead;
use std::sync::Arc;

use serde_json::Value;
use wasmi_plugin_hdk::plugin::Plugin;
use wasmi_plugin_hdk::server::HostServer;
use wasmi_plugin_pdk::transport::Transport;

fn main() {
    let module = std::env::args().nth(1).expect("a .wasm file");
    let host = HostServer::<()>::default()
        .with_method("ping", async |_, _: Value| Ok("pong"))
        .with_method("echo", async |_, params: Value| Ok(params));
    let bytes = std::fs::read(module).expect("the module can be read");
    let plugin = Plugin::new("bench", bytes, Arc::new(host)).expect("the module compiles");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a line");
        let mut words = line.splitn(3, ' ');
        let count: usize = words.next().and_then(|word| word.parse().ok()).expect("a count");
        let method = words.next().expect("a method");
        let params: Value = serde_json::from_str(words.next().unwrap_or("null")).expect("JSON");
        for _ in 0..count {
            runtime.block_on(plugin.call(method, params.clone())).expect("an answer");
        }
        println!("done");
    }
}
