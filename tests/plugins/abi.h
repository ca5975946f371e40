/* The Proxy-Wasm 0.2.1 host calls that the test plugins use. Freestanding: clang --target=wasm32
 * -nostdlib. */
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define HOST(name) __attribute__((import_module("env"), import_name(#name))) extern u32 name
#define EXPORT(name) __attribute__((export_name(#name)))

HOST(proxy_log)(u32 level, const char* text, u32 size);
HOST(proxy_get_buffer_bytes)(u32 type, u32 start, u32 max, char** data, u32* size);
HOST(proxy_set_buffer_bytes)(u32 type, u32 start, u32 size, const char* data, u32 length);
HOST(proxy_get_header_map_pairs)(u32 map, char** pairs, u32* size);
HOST(proxy_get_header_map_value)(u32 map, const char* key, u32 key_size, char** value, u32* size);
HOST(proxy_add_header_map_value)(u32 map, const char* key, u32 key_size, const char* value,
                                 u32 size);
HOST(proxy_replace_header_map_value)(u32 map, const char* key, u32 key_size, const char* value,
                                     u32 size);
HOST(proxy_remove_header_map_value)(u32 map, const char* key, u32 key_size);
HOST(proxy_get_property)(const char* path, u32 path_size, char** value, u32* size);
HOST(proxy_set_property)(const char* path, u32 path_size, const char* value, u32 size);
HOST(proxy_continue_stream)(u32 stream);
HOST(proxy_close_stream)(u32 stream);
HOST(proxy_send_local_response)(u32 status, const char* details, u32 details_size, const char* body,
                                u32 body_size, const char* headers, u32 headers_size,
                                u32 grpc_status);
HOST(proxy_http_call)(const char* upstream, u32 upstream_size, const char* headers,
                      u32 headers_size, const char* body, u32 body_size, const char* trailers,
                      u32 trailers_size, u32 timeout, u32* token);
HOST(proxy_grpc_call)(const char* upstream, u32 upstream_size, const char* service,
                      u32 service_size, const char* method, u32 method_size, const char* metadata,
                      u32 metadata_size, const char* message, u32 message_size, u32 timeout,
                      u32* token);
HOST(proxy_grpc_stream)(const char* upstream, u32 upstream_size, const char* service,
                        u32 service_size, const char* method, u32 method_size, const char* metadata,
                        u32 metadata_size, u32* token);
HOST(proxy_grpc_send)(u32 token, const char* message, u32 size, u32 end);
HOST(proxy_grpc_cancel)(u32 token);
HOST(proxy_grpc_close)(u32 token);
HOST(proxy_get_status)(u32* code, char** message, u32* size);
HOST(proxy_call_foreign_function)(const char* name, u32 name_size, const char* arguments,
                                  u32 arguments_size, char** result, u32* size);
HOST(proxy_set_tick_period_milliseconds)(u32 period);
HOST(proxy_set_effective_context)(u32 context);
HOST(proxy_define_metric)(u32 type, const char* name, u32 size, u32* id);
HOST(proxy_increment_metric)(u32 id, u64 delta);

__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_exit"))) extern void
proc_exit(u32 code);
