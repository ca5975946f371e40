// A JSON-RPC plugin in plain C: greets, and shows on the way how a plugin asks its host.
//
//   hello        -> {"message":"Hello from C!"}
//   time         -> what the host method time.now answers
//   anything else: an error
#include <stdio.h>
#include <string.h>

static char request[65536];
static char reply[65536];

int main(void) {
  if (fgets(request, sizeof request, stdin) == NULL) return 1;
  fprintf(stderr, "got %zu bytes\n", strlen(request));

  if (strstr(request, "\"method\":\"hello\"") != NULL) {
    puts("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"message\":\"Hello from C!\"}}");
  } else if (strstr(request, "\"method\":\"time\"") != NULL) {
    puts("{\"jsonrpc\":\"2.0\",\"id\":\"t\",\"method\":\"time.now\",\"params\":null}");
    fflush(stdout);
    if (fgets(reply, sizeof reply, stdin) == NULL) return 1;
    // {"jsonrpc":"2.0","id":"t","result":…}
    const char *result = strstr(reply, "\"result\":");
    if (result == NULL) return 2;
    printf("{\"jsonrpc\":\"2.0\",\"id\":0,%s", result);
  } else {
    puts("{\"jsonrpc\":\"2.0\",\"id\":0,\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
  }
  return 0;
}
