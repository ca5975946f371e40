// Proxy-Wasm for C++20 plugins without an SDK: the imports of the host, each with a typed wrapper,
// and the two exports that every module needs (ABI marker and allocator).
//
// Include it in exactly one source file of a plugin: it defines the exports. A plugin then exports
// the callbacks it wants, named as in the specification, with PROXY_WASM_EXPORT. Every wrapper acts
// on the context of the callback that is running. Source: Proxy-Wasm specification 0.2.1.

#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#define PROXY_WASM_EXPORT(name) extern "C" __attribute__((export_name(#name)))
#define PROXY_WASM_IMPORT(name) extern "C" __attribute__((import_module("env"), import_name(#name)))

namespace proxy_wasm {

enum class LogLevel : uint32_t { kTrace, kDebug, kInfo, kWarn, kError, kCritical };

enum class Status : uint32_t {
  kOk = 0,
  kNotFound = 1,
  kBadArgument = 2,
  kSerializationFailure = 3,
  kParseFailure = 4,
  kInvalidMemoryAccess = 6,
  kEmpty = 7,
  kCasMismatch = 8,
  kInternalFailure = 10,
  kUnimplemented = 12,
};

// What a stream callback returns: go on, or hold the stream until continue_stream.
enum class Action : uint32_t { kContinue, kPause };

enum class Map : uint32_t {
  kRequestHeaders = 0,
  kRequestTrailers = 1,
  kResponseHeaders = 2,
  kResponseTrailers = 3,
  kHttpCallResponseHeaders = 6,
  kHttpCallResponseTrailers = 7,
};

enum class Buffer : uint32_t {
  kRequestBody = 0,
  kResponseBody = 1,
  kHttpCallResponseBody = 4,
  kVmConfiguration = 6,
  kPluginConfiguration = 7,
};

enum class Stream : uint32_t { kRequest, kResponse };

namespace raw {

PROXY_WASM_IMPORT(proxy_log) Status proxy_log(LogLevel level, const char* text, size_t size);
PROXY_WASM_IMPORT(proxy_get_buffer_bytes)
Status proxy_get_buffer_bytes(Buffer buffer, size_t start, size_t max, char** data, size_t* size);
PROXY_WASM_IMPORT(proxy_set_buffer_bytes)
Status proxy_set_buffer_bytes(Buffer buffer, size_t start, size_t max, const char* data, size_t n);
PROXY_WASM_IMPORT(proxy_get_header_map_value)
Status proxy_get_header_map_value(Map map, const char* key, size_t n, char** data, size_t* size);
PROXY_WASM_IMPORT(proxy_add_header_map_value)
Status proxy_add_header_map_value(Map map, const char* key, size_t n, const char* value, size_t m);
PROXY_WASM_IMPORT(proxy_replace_header_map_value)
Status proxy_replace_header_map_value(Map map, const char* key, size_t n, const char* value,
                                      size_t m);
PROXY_WASM_IMPORT(proxy_remove_header_map_value)
Status proxy_remove_header_map_value(Map map, const char* key, size_t n);
PROXY_WASM_IMPORT(proxy_get_property)
Status proxy_get_property(const char* path, size_t n, char** data, size_t* size);
PROXY_WASM_IMPORT(proxy_send_local_response)
Status proxy_send_local_response(uint32_t code, const char* details, size_t details_size,
                                 const char* body, size_t body_size, const char* headers,
                                 size_t headers_size, int32_t grpc_status);
PROXY_WASM_IMPORT(proxy_continue_stream) Status proxy_continue_stream(Stream stream);

}  // namespace raw

// Takes over what the host placed with our allocator. A host may answer "empty" with no pointer.
inline std::string take(char* data, size_t size) {
  if (data == nullptr) return {};
  std::string text(data, size);
  std::free(data);
  return text;
}

inline Status log(LogLevel level, std::string_view text) {
  return raw::proxy_log(level, text.data(), text.size());
}

// Absent when the host has no such buffer now, for example a body outside the body callbacks.
inline std::optional<std::string> get_buffer(Buffer buffer, size_t start, size_t max) {
  char* data = nullptr;
  size_t size = 0;
  if (raw::proxy_get_buffer_bytes(buffer, start, max, &data, &size) != Status::kOk)
    return std::nullopt;
  return take(data, size);
}

// Replaces `max` bytes from `start`; (0, 0) inserts in front, a start past the end appends.
inline Status set_buffer(Buffer buffer, size_t start, size_t max, std::string_view bytes) {
  return raw::proxy_set_buffer_bytes(buffer, start, max, bytes.data(), bytes.size());
}

inline std::optional<std::string> get_header(Map map, std::string_view name) {
  char* data = nullptr;
  size_t size = 0;
  const Status status =
      raw::proxy_get_header_map_value(map, name.data(), name.size(), &data, &size);
  if (status != Status::kOk) return std::nullopt;
  return take(data, size);
}

// Appends: a header that was there before stays.
inline Status add_header(Map map, std::string_view name, std::string_view value) {
  return raw::proxy_add_header_map_value(map, name.data(), name.size(), value.data(), value.size());
}

inline Status replace_header(Map map, std::string_view name, std::string_view value) {
  return raw::proxy_replace_header_map_value(map, name.data(), name.size(), value.data(),
                                             value.size());
}

inline Status remove_header(Map map, std::string_view name) {
  return raw::proxy_remove_header_map_value(map, name.data(), name.size());
}

// `path` has a NUL byte between its segments: std::string_view("request\0path", 12).
// The value is text for strings and 8 bytes, little-endian, for numbers and times.
inline std::optional<std::string> get_property(std::string_view path) {
  char* data = nullptr;
  size_t size = 0;
  if (raw::proxy_get_property(path.data(), path.size(), &data, &size) != Status::kOk)
    return std::nullopt;
  return take(data, size);
}

// Answers the request here, without the upstream. Return Action::kPause after it.
inline Status send_local_response(uint32_t code, std::string_view body) {
  constexpr int32_t kNoGrpcStatus = -1;
  return raw::proxy_send_local_response(code, nullptr, 0, body.data(), body.size(), nullptr, 0,
                                        kNoGrpcStatus);
}

inline Status continue_stream(Stream stream) {
  return raw::proxy_continue_stream(stream);
}

}  // namespace proxy_wasm

// Never called: its name tells the host which ABI this module speaks.
PROXY_WASM_EXPORT(proxy_abi_version_0_2_1) void proxy_wasm_abi_marker() {}

// The host asks for memory here whenever it has something to hand over; the plugin owns it then.
PROXY_WASM_EXPORT(proxy_on_memory_allocate) void* proxy_wasm_allocate(size_t size) {
  return std::malloc(size);
}
