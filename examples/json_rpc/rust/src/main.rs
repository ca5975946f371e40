//! A JSON-RPC plugin in Rust with nothing but `serde_json`: lines on standard input and output.
//!
//!   words  {"text"}            -> how often each word comes
//!   store  {"name": value, …}  -> keeps the values in the host's key-value store
//!   total  ["name", …]         -> the sum of kept values; all of them are asked for at once

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, Write};

use serde_json::{Value, json};

type Answer = Result<Value, Value>;

fn main() {
    let Some(request) = read() else {
        eprintln!("no request came");
        std::process::exit(1);
    };
    let params = &request["params"];
    let answer = match request["method"].as_str() {
        Some("words") => words(params),
        Some("store") => store(params),
        Some("total") => total(params),
        _ => Err(error(-32601, "Method not found")),
    };
    match answer {
        Ok(result) => write(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result})),
        Err(error) => write(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error})),
    }
}

fn words(params: &Value) -> Answer {
    let text = params["text"].as_str().ok_or_else(invalid)?;
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_lowercase()).or_insert(0) += 1;
    }
    Ok(json!(counts))
}

fn store(params: &Value) -> Answer {
    let values = params.as_object().ok_or_else(invalid)?;
    ask_all(values.iter().map(|(key, value)| ("kv.set", json!({"key": key, "value": value}))))?;
    Ok(json!(values.len()))
}

fn total(params: &Value) -> Answer {
    let names = params.as_array().ok_or_else(invalid)?;
    let values = ask_all(names.iter().map(|name| ("kv.get", json!({"key": name}))))?;
    Ok(json!(values.iter().filter_map(Value::as_f64).sum::<f64>()))
}

/// Sends all requests, then reads their answers, which come in any order.
fn ask_all<'a>(requests: impl Iterator<Item = (&'a str, Value)>) -> Result<Vec<Value>, Value> {
    let mut count = 0;
    for (method, params) in requests {
        write(&json!({"jsonrpc": "2.0", "id": count, "method": method, "params": params}));
        count += 1;
    }
    let mut results = HashMap::new();
    while results.len() < count {
        let answer = read().ok_or_else(|| error(-32603, "the host ended the input"))?;
        if let Some(error) = answer.get("error") {
            return Err(error.clone());
        }
        results.insert(answer["id"].as_u64(), answer["result"].clone());
    }
    Ok((0..count as u64).filter_map(|id| results.remove(&Some(id))).collect())
}

fn read() -> Option<Value> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

fn write(message: &Value) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{message}").and_then(|()| out.flush()).expect("the host reads what is written");
}

fn invalid() -> Value {
    error(-32602, "Invalid params")
}

fn error(code: i64, message: &str) -> Value {
    json!({"code": code, "message": message})
}
