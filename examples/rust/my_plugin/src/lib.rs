use serde::{Deserialize, Serialize};

// Entry points

#[no_mangle]
pub extern "C" fn init() -> i32 {
    0
}

#[no_mangle]
pub extern "C" fn execute() -> i32 {
    0
}

#[no_mangle]
pub extern "C" fn cleanup() -> i32 {
    0
}

// Data structures

#[derive(Deserialize)]
struct CreateItemRequest {
    name: String,
    description: Option<String>,
}

#[derive(Serialize)]
struct Item {
    id: u64,
    name: String,
    description: String,
}

#[derive(Serialize)]
struct ApiResponse<T> {
    success: bool,
    data: Option<T>,
    error: Option<String>,
}

// Handlers

#[no_mangle]
pub extern "C" fn list_items(_input_ptr: *const u8, _input_len: usize) -> *const u8 {
    let items = vec![
        Item { id: 1, name: "Item 1".into(), description: "First item".into() },
        Item { id: 2, name: "Item 2".into(), description: "Second item".into() },
    ];
    
    let response = ApiResponse {
        success: true,
        data: Some(items),
        error: None,
    };
    
    let json = serde_json::to_string(&response).unwrap();
    let bytes = json.into_bytes();
    let ptr = bytes.as_ptr();
    std::mem::forget(bytes);
    ptr
}

#[no_mangle]
pub extern "C" fn create_item(input_ptr: *const u8, input_len: usize) -> *const u8 {
    // Parse input
    let input = unsafe {
        std::slice::from_raw_parts(input_ptr, input_len)
    };
    
    let request: CreateItemRequest = match serde_json::from_slice(input) {
        Ok(req) => req,
        Err(e) => {
            let response = ApiResponse::<Item> {
                success: false,
                data: None,
                error: Some(format!("Invalid request: {}", e)),
            };
            let json = serde_json::to_string(&response).unwrap();
            let bytes = json.into_bytes();
            let ptr = bytes.as_ptr();
            std::mem::forget(bytes);
            return ptr;
        }
    };
    
    // Create item
    let item = Item {
        id: 1, // In reality, generate ID
        name: request.name,
        description: request.description.unwrap_or_default(),
    };
    
    let response = ApiResponse {
        success: true,
        data: Some(item),
        error: None,
    };
    
    let json = serde_json::to_string(&response).unwrap();
    let bytes = json.into_bytes();
    let ptr = bytes.as_ptr();
    std::mem::forget(bytes);
    ptr
}
