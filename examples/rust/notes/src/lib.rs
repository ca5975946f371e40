//! Notes in a table of the plugin's own database, and a title over them in its key-value data.

use std::collections::HashMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{json, Value};

mod host;

const TABLE: &str = "CREATE TABLE IF NOT EXISTS notes (id TEXT PRIMARY KEY, text TEXT NOT NULL, created BIGINT NOT NULL)";
const TITLE: &str = "title";
const MOST: u64 = 100;

/// What the host gives a handler, as far as this plugin needs it.
#[derive(Deserialize)]
struct Request {
    params: HashMap<String, String>,
    query: HashMap<String, String>,
    body: Value,
}

struct Reply {
    status: u16,
    body: Value,
    headers: Value,
}

impl Reply {
    fn new(status: u16, body: Value) -> Self {
        Reply { status, body, headers: json!({}) }
    }
}

/// A refusal is a reply too.
type Answer = Result<Reply, Reply>;

fn refusal(status: u16, message: &str) -> Reply {
    Reply::new(status, json!({"error": {"message": message}}))
}

fn failed(error: String) -> Reply {
    host::log(host::ERROR, &error);
    refusal(503, "the notes cannot be reached now")
}

/// 0: the plugin is ready. Runs in every instance before its first request.
#[no_mangle]
pub extern "C" fn init() -> i32 {
    match host::execute(TABLE, &json!([])) {
        Some(_) => 0,
        None => 2, // 1 would be "ready" to a host that goes by the SDK of Orbis
    }
}

fn list(request: &Request) -> Answer {
    let limit = match request.query.get("limit").map(|text| text.parse::<u64>()) {
        None => 20,
        Some(Ok(limit)) if (1..=MOST).contains(&limit) => limit,
        Some(_) => return Err(refusal(400, "limit is a number from 1 to 100")),
    };
    let sql = "SELECT id, text, created FROM notes ORDER BY created DESC, id LIMIT ?";
    let notes = host::query(sql, &json!([limit])).map_err(failed)?;
    let title = host::state(TITLE).unwrap_or_else(|| "Notes".into());
    Ok(Reply::new(200, json!({"title": title, "notes": notes})))
}

fn create(request: &Request) -> Answer {
    let longest = host::config("longest_note").as_u64().unwrap_or(2000) as usize;
    let text = request.body["text"].as_str().ok_or_else(|| refusal(400, "the body has no text"))?;
    if text.trim().is_empty() || text.len() > longest {
        return Err(refusal(422, &format!("a note has 1 to {longest} bytes")));
    }
    let id = host::random_id();
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
    let sql = "INSERT INTO notes (id, text, created) VALUES (?, ?, ?)";
    host::execute(sql, &json!([id, text, created])).ok_or_else(|| failed("a note was not kept".into()))?;
    host::emit("note.created", &json!({"id": id}));
    let mut reply = Reply::new(201, json!({"id": id, "text": text, "created": created}));
    reply.headers = json!({"location": format!("/notes/{id}")});
    Ok(reply)
}

fn show(request: &Request) -> Answer {
    let sql = "SELECT id, text, created FROM notes WHERE id = ?";
    let mut notes = host::query(sql, &json!([request.params["id"]])).map_err(failed)?;
    notes.pop().map(|note| Reply::new(200, note)).ok_or_else(|| refusal(404, "there is no such note"))
}

fn delete(request: &Request) -> Answer {
    match host::execute("DELETE FROM notes WHERE id = ?", &json!([request.params["id"]])) {
        Some(0) => Err(refusal(404, "there is no such note")),
        Some(_) => Ok(Reply::new(204, Value::Null)),
        None => Err(failed("a note was not deleted".into())),
    }
}

fn title(request: &Request) -> Answer {
    let title = request.body["title"].as_str().ok_or_else(|| refusal(400, "the body has no title"))?;
    if !host::set_state(TITLE, title) {
        return Err(failed("the title was not kept".into()));
    }
    Ok(Reply::new(200, json!({"title": title})))
}

/// Reads the input, and writes what `handler` says as the host wants it.
fn answer(input: *const u8, length: usize, handler: fn(&Request) -> Answer) -> *const u8 {
    let input = unsafe { std::slice::from_raw_parts(input, length) };
    let reply = serde_json::from_slice::<Request>(input)
        .map_err(|error| refusal(400, &error.to_string()))
        .and_then(|request| handler(&request))
        .unwrap_or_else(|refused| refused);
    let text = json!({"status": reply.status, "body": reply.body, "headers": reply.headers});
    host::give(text.to_string().as_bytes())
}

#[no_mangle]
pub extern "C" fn list_notes(input: *const u8, length: usize) -> *const u8 {
    answer(input, length, list)
}

#[no_mangle]
pub extern "C" fn create_note(input: *const u8, length: usize) -> *const u8 {
    answer(input, length, create)
}

#[no_mangle]
pub extern "C" fn show_note(input: *const u8, length: usize) -> *const u8 {
    answer(input, length, show)
}

#[no_mangle]
pub extern "C" fn delete_note(input: *const u8, length: usize) -> *const u8 {
    answer(input, length, delete)
}

#[no_mangle]
pub extern "C" fn set_title(input: *const u8, length: usize) -> *const u8 {
    answer(input, length, title)
}
