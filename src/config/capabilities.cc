#include "config/capabilities.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "config/scalars.h"

namespace heddle::config {
namespace {

// clang-format off
constexpr std::array<std::string_view, 115> kCapabilities = {
    // Host calls.
    "proxy_add_header_map_value", "proxy_call_foreign_function", "proxy_clear_route_cache",
    "proxy_close_stream", "proxy_continue_request", "proxy_continue_response",
    "proxy_continue_stream", "proxy_define_metric", "proxy_dequeue_shared_queue", "proxy_done",
    "proxy_enqueue_shared_queue", "proxy_get_buffer_bytes", "proxy_get_buffer_status",
    "proxy_get_configuration", "proxy_get_current_time_nanoseconds", "proxy_get_header_map_pairs",
    "proxy_get_header_map_size", "proxy_get_header_map_value", "proxy_get_log_level",
    "proxy_get_metric", "proxy_get_property", "proxy_get_shared_data", "proxy_get_status",
    "proxy_grpc_call", "proxy_grpc_cancel", "proxy_grpc_close", "proxy_grpc_send",
    "proxy_grpc_stream", "proxy_http_call", "proxy_increment_metric", "proxy_log",
    "proxy_record_metric", "proxy_register_shared_queue", "proxy_remove_header_map_value",
    "proxy_replace_header_map_value", "proxy_resolve_shared_queue", "proxy_send_http_response",
    "proxy_send_local_response", "proxy_set_buffer_bytes", "proxy_set_effective_context",
    "proxy_set_header_map_pairs", "proxy_set_property", "proxy_set_shared_data",
    "proxy_set_tick_period_milliseconds",
    // Callbacks.
    "proxy_on_configure", "proxy_on_context_create", "proxy_on_delete", "proxy_on_done",
    "proxy_on_downstream_connection_close", "proxy_on_downstream_data", "proxy_on_foreign_function",
    "proxy_on_grpc_close", "proxy_on_grpc_receive", "proxy_on_grpc_receive_initial_metadata",
    "proxy_on_grpc_receive_trailing_metadata", "proxy_on_http_call_response", "proxy_on_log",
    "proxy_on_new_connection", "proxy_on_queue_ready", "proxy_on_request_body",
    "proxy_on_request_headers", "proxy_on_request_trailers", "proxy_on_response_body",
    "proxy_on_response_headers", "proxy_on_response_trailers", "proxy_on_tick",
    "proxy_on_upstream_connection_close", "proxy_on_upstream_data", "proxy_on_vm_start",
    // WASI.
    "args_get", "args_sizes_get", "clock_res_get", "clock_time_get", "environ_get",
    "environ_sizes_get", "fd_advise", "fd_allocate", "fd_close", "fd_datasync", "fd_fdstat_get",
    "fd_fdstat_set_flags", "fd_fdstat_set_rights", "fd_filestat_get", "fd_filestat_set_size",
    "fd_filestat_set_times", "fd_pread", "fd_prestat_dir_name", "fd_prestat_get", "fd_pwrite",
    "fd_read", "fd_readdir", "fd_renumber", "fd_seek", "fd_sync", "fd_tell", "fd_write",
    "path_create_directory", "path_filestat_get", "path_filestat_set_times", "path_link",
    "path_open", "path_readlink", "path_remove_directory", "path_rename", "path_symlink",
    "path_unlink_file", "poll_oneoff", "proc_exit", "proc_raise", "random_get", "sched_yield",
    "sock_accept", "sock_recv", "sock_send", "sock_shutdown",
};

// Host methods of JSON-RPC plugins.
constexpr std::array<std::string_view, 11> kMethods = {
    "log", "time.now", "random.bytes", "kv.get", "kv.set", "kv.delete", "kv.list", "http.fetch",
    "sql.query", "sql.execute", "rpc.call"};
// clang-format on

}  // namespace

std::optional<Complaint> check_capability(std::string& value) {
  if (std::ranges::find(kCapabilities, value) != kCapabilities.end()) return std::nullopt;
  if (std::ranges::find(kMethods, value) != kMethods.end()) return std::nullopt;
  std::string_view near = nearest(value, kCapabilities);
  if (near.empty()) near = nearest(value, kMethods);
  return Complaint{
      .message = concat(quote(value), " is no host call, WASI function or callback of Proxy-Wasm, ",
                        "nor a host method of JSON-RPC plugins"),
      .hint = near.empty() ? "for example proxy_log, fd_write or proxy_on_request_headers"
                           : concat("did you mean \"", near, "\"?")};
}

}  // namespace heddle::config
