/* The basic host in C: offers "echo" to its plugin, and calls a method of it.
 *
 *   cc host.c $(pkg-config --cflags --libs heddle) -o host
 *   ./host plugin.wasm [METHOD [PARAMS]]
 */
#include <heddle.h>
#include <stdio.h>

static void echo(void* user, const char* params, heddle_reply* reply) {
  (void)user;
  heddle_reply_success(reply, params);
}

static void print_line(void* user, const char* plugin, const char* line) {
  fprintf(user, "%s: %s\n", plugin, line);
}

static int fail(heddle_error* error) {
  fprintf(stderr, "%s (%s)\n", heddle_error_message(error), heddle_error_cause(error));
  heddle_error_delete(error);
  return 1;
}

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  heddle_error* error = NULL;
  heddle_host* host = heddle_host_new(NULL, &error);
  if (host == NULL) return fail(error);
  heddle_host_set_log(host, print_line, stderr);
  if (!heddle_host_add_method(host, "echo", echo, NULL, NULL, &error)) return fail(error);

  heddle_plugin* plugin = heddle_host_load_file(host, argv[1], "{\"timeout_ms\": 2000}", &error);
  if (plugin == NULL) return fail(error);
  char* answer =
      heddle_plugin_call(plugin, argc > 2 ? argv[2] : "hello", argc > 3 ? argv[3] : NULL, &error);
  if (answer == NULL) return fail(error);
  puts(answer);

  heddle_free(answer);
  heddle_plugin_delete(plugin);
  heddle_host_delete(host);
  return 0;
}
