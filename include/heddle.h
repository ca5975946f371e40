/* Heddle for C, and for every language that can call C: loads JSON-RPC plugins, offers them
 * methods, calls theirs. What the words mean stands in heddle/host.h, over which this is a thin
 * layer.
 *
 *   heddle_error *error = NULL;
 *   heddle_host *host = heddle_host_new(NULL, &error);
 *   heddle_host_add_method(host, "echo", my_echo, NULL, NULL, &error);
 *   heddle_plugin *plugin = heddle_host_load_file(host, "plugin.wasm", NULL, &error);
 *   char *answer = heddle_plugin_call(plugin, "hello", "null", &error);
 *   puts(answer);
 *   heddle_free(answer);
 *   heddle_plugin_delete(plugin);
 *   heddle_host_delete(host);
 *
 * JSON travels as text: UTF-8, ended by NUL.
 *
 * Failure: functions that can fail return NULL (or false), and then set *error, if `error` is not
 * NULL, to an error that the caller deletes. On success they leave *error alone. Ownership: what a
 * function returns as `char *` is the caller's, to be given to heddle_free(); what it returns as
 * `const char *` belongs to the object that was asked, and goes with it. What is passed in stays
 * the caller's, and may go once the function returns. Threads: any thread may use any object at any
 * time, except that a delete must be the last use. An object that others still need (a plugin's
 * host, a call's plugin) goes only when they do.
 */
#ifndef HEDDLE_H_
#define HEDDLE_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "heddle/version.h"

#ifdef __cplusplus
extern "C" {
#endif

/* NOLINTBEGIN(modernize-use-using): C has no other. */

typedef struct heddle_host heddle_host;
typedef struct heddle_plugin heddle_plugin;
typedef struct heddle_session heddle_session;
typedef struct heddle_call heddle_call;
typedef struct heddle_reply heddle_reply;
typedef struct heddle_error heddle_error;

/* The version of the library that is linked: "0.1.0". */
HEDDLE_EXPORT const char* heddle_version(void);

/* For every `char *` of this header; NULL is fine. */
HEDDLE_EXPORT void heddle_free(char* text);

/* ---- errors */

typedef enum heddle_error_kind {
  HEDDLE_INVALID_ARGUMENT = 0,
  HEDDLE_NOT_FOUND = 1,
  HEDDLE_CONFLICT = 2,
  HEDDLE_PERMISSION = 3,
  HEDDLE_LIMIT = 4,
  HEDDLE_UNAVAILABLE = 5,
  HEDDLE_PLUGIN = 6,
  HEDDLE_INTERNAL = 7
} heddle_error_kind;

HEDDLE_EXPORT heddle_error_kind heddle_error_get_kind(const heddle_error* error);
HEDDLE_EXPORT const char* heddle_error_message(const heddle_error* error);
/* Of calls: the code of the JSON-RPC error object; else 0. */
HEDDLE_EXPORT int heddle_error_code(const heddle_error* error);
/* Of calls: "timeout", "memory_limit", "no_answer", "plugin_error", …; else "". */
HEDDLE_EXPORT const char* heddle_error_cause(const heddle_error* error);
/* Of the JSON-RPC error object, as JSON; "null" when it has none. */
HEDDLE_EXPORT const char* heddle_error_data(const heddle_error* error);
HEDDLE_EXPORT void heddle_error_delete(heddle_error* error); /* NULL is fine */

/* ---- the host */

/* `options`: NULL, or a JSON object with any of
 *   "max_instances", "threads"  integers
 *   "interpret"                 true or false
 *   "cache_dir"                 a path
 * An unknown key is an error. */
HEDDLE_EXPORT heddle_host* heddle_host_new(const char* options, heddle_error** error);
/* What was loaded goes on working. NULL is fine. */
HEDDLE_EXPORT void heddle_host_delete(heddle_host* host);

/* A method that plugins may ask for. It must answer with heddle_reply_success() or
 * heddle_reply_failure(), now or later, from any thread; `params` and `plugin` end when it returns.
 * Runs on whatever thread the plugin runs, on several at once, and must not block for long. */
typedef void (*heddle_method)(void* user, const char* params, heddle_reply* reply);
/* What `user` is needed for is over; may be NULL. */
typedef void (*heddle_release)(void* user);
/* For plugins that are loaded from now on. `release` comes once, when no plugin can ask any more.
 */
HEDDLE_EXPORT bool heddle_host_add_method(heddle_host* host, const char* name, heddle_method method,
                                          void* user, heddle_release release, heddle_error** error);

/* Answers, and ends the reply: neither function may be called again for it. `result` and `data` are
 * JSON (`data` may be NULL); what is not becomes an internal error. */
HEDDLE_EXPORT void heddle_reply_success(heddle_reply* reply, const char* result);
HEDDLE_EXPORT void heddle_reply_failure(heddle_reply* reply, int code, const char* message,
                                        const char* data);

/* What plugins write to standard error, line by line. For plugins that are loaded from now on. */
typedef void (*heddle_log)(void* user, const char* plugin, const char* line);
HEDDLE_EXPORT void heddle_host_set_log(heddle_host* host, heddle_log log, void* user);

/* ---- plugins */

/* `options`: NULL, or a JSON object with any of
 *   "name"                                                  a text
 *   "timeout_ms", "cpu_limit_ms", "memory_limit", "params_limit", "output_limit", "host_calls",
 *   "pending_host_calls", "max_calls", "max_queued_calls", "log_lines_per_second",
 *   "log_line_bytes"                                        integers; sizes in bytes
 *   "environment"                                           an array of "KEY=VALUE" */
HEDDLE_EXPORT heddle_plugin* heddle_host_load_file(heddle_host* host, const char* path,
                                                   const char* options, heddle_error** error);
HEDDLE_EXPORT heddle_plugin* heddle_host_load(heddle_host* host, const void* module, size_t size,
                                              const char* options, heddle_error** error);
/* Calls under way go on. NULL is fine. */
HEDDLE_EXPORT void heddle_plugin_delete(heddle_plugin* plugin);

/* Calls a method and waits for its answer, which is JSON; the plugin runs on the calling thread.
 * `params` is JSON; NULL means null. */
HEDDLE_EXPORT char* heddle_plugin_call(heddle_plugin* plugin, const char* method,
                                       const char* params, heddle_error** error);

/* The end of an asynchronous call: `result` or `error` is NULL; both end when the callback returns.
 */
typedef void (*heddle_done)(void* user, const char* result, const heddle_error* error);
/* Starts a call and returns. `done` comes once, on a thread of the host or, when the call is
 * refused, from within. The handle may be deleted at any time, which changes nothing for the call.
 * Fails, without `done`, only when params are not JSON. */
HEDDLE_EXPORT heddle_call* heddle_plugin_start(heddle_plugin* plugin, const char* method,
                                               const char* params, heddle_done done, void* user,
                                               heddle_error** error);
/* Ends the call; its `done` gets an error with cause "cancelled", unless it has come already. */
HEDDLE_EXPORT void heddle_call_cancel(heddle_call* call);
HEDDLE_EXPORT void heddle_call_delete(heddle_call* call);

/* {"calls":…,"errors":…,"limit_hits":…,"instances":…,"queued":…,"cpu_seconds":…,"average_call_us":…,
 * "last_error":…} */
HEDDLE_EXPORT char* heddle_plugin_stats(heddle_plugin* plugin);

/* ---- sessions: one guest that serves several calls, one after the other */

HEDDLE_EXPORT heddle_session* heddle_plugin_open_session(heddle_plugin* plugin,
                                                         heddle_error** error);
HEDDLE_EXPORT char* heddle_session_call(heddle_session* session, const char* method,
                                        const char* params, heddle_error** error);
HEDDLE_EXPORT void heddle_session_delete(heddle_session* session);

/* NOLINTEND(modernize-use-using) */

#ifdef __cplusplus
}
#endif

#endif
