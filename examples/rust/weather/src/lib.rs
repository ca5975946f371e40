//! Asks another service for the weather, and answers in its own words. Spoken as the guide of Orbis has it: plain
//! `http_request` with six arguments, answers as JSON that a zero byte ends.

use std::ffi::{c_char, CStr};

use serde::Deserialize;
use serde_json::{json, Value};

#[link(wasm_import_module = "env")]
extern "C" {
    fn http_request(
        method: *const u8,
        method_len: usize,
        url: *const u8,
        url_len: usize,
        body: *const u8,
        body_len: usize,
    ) -> *const c_char;
    fn get_config(key: *const u8, key_len: usize) -> *const u8;
    fn log_error(text: *const u8, text_len: usize);
}

#[derive(Deserialize)]
struct Request {
    params: Params,
}

#[derive(Deserialize)]
struct Params {
    city: String,
}

/// What `http_request` gives: `status` is 0 and `error` says why when there was no answer.
#[derive(Deserialize)]
struct Response {
    status: u16,
    body: String,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Report {
    temperature: f64,
    condition: String,
}

fn fetch(url: &str) -> Result<Response, String> {
    let method = "GET";
    let answer = unsafe {
        let text = http_request(method.as_ptr(), method.len(), url.as_ptr(), url.len(), std::ptr::null(), 0);
        if text.is_null() {
            return Err("no memory for an answer".into());
        }
        CStr::from_ptr(text).to_bytes()
    };
    let response: Response = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    match response.error {
        Some(error) => Err(error),
        None => Ok(response),
    }
}

/// A text of the configuration. `get_config` gives the length of four bytes before it.
fn config(key: &str) -> Option<String> {
    let value: Value = unsafe {
        let text = get_config(key.as_ptr(), key.len());
        if text.is_null() {
            return None;
        }
        let length = u32::from_le_bytes(text.cast::<[u8; 4]>().read()) as usize;
        serde_json::from_slice(std::slice::from_raw_parts(text.add(4), length)).ok()?
    };
    value.as_str().map(String::from)
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn answer_for(city: &str) -> Value {
    let service = config("service").unwrap_or_default();
    let response = match fetch(&format!("{service}/current?city={}", percent_encoded(city))) {
        Ok(response) => response,
        Err(error) => {
            unsafe { log_error(error.as_ptr(), error.len()) };
            return json!({"status": 502, "body": {"error": "the weather service does not answer"}});
        }
    };
    if response.status == 404 {
        return json!({"status": 404, "body": {"error": format!("nobody knows the weather of {city}")}});
    }
    match serde_json::from_str::<Report>(&response.body) {
        Ok(report) if response.status == 200 => json!({
            "status": 200,
            "headers": {"cache-control": "max-age=60"},
            "body": {
                "city": city,
                "celsius": report.temperature,
                "fahrenheit": report.temperature * 1.8 + 32.0,
                "sky": report.condition,
            },
        }),
        _ => json!({"status": 502, "body": {"error": format!("the weather service said {}", response.status)}}),
    }
}

#[no_mangle]
pub extern "C" fn weather(input: *const u8, length: usize) -> *const c_char {
    let input = unsafe { std::slice::from_raw_parts(input, length) };
    let answer = match serde_json::from_slice::<Request>(input) {
        Ok(request) => answer_for(&request.params.city),
        Err(error) => json!({"status": 400, "body": {"error": error.to_string()}}),
    };
    // Left behind: the instance ends with the request. JSON has no zero byte within.
    std::ffi::CString::new(answer.to_string()).unwrap_or_default().into_raw()
}
