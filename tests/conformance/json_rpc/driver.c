// The guest of the tables: a WASI program that does what its params say, a statement a line (README.md). The params are the
// script in hexadecimal, so that no JSON has to be read here.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kMost = 1 << 20 };

static char request[2 * kMost];
static char script[kMost];
static char heard[kMost];  // what `hear` read, as the elements of a JSON array

static void put(int fd, const char *bytes, size_t size) {
  while (size > 0) {
    const ssize_t written = write(fd, bytes, size);
    if (written <= 0) _exit(90);
    bytes += written;
    size -= (size_t)written;
  }
}

static void line(int fd, const char *text) {
  put(fd, text, strlen(text));
  put(fd, "\n", 1);
}

// One line of standard input, however the host cuts it; its length without the newline, or -1 at the end.
static long read_line(char *to, size_t room) {
  size_t size = 0;
  while (size < room) {
    const ssize_t got = read(0, to + size, 1);
    if (got < 0) _exit(91);
    if (got == 0) return size > 0 ? (long)size : -1;
    if (to[size] == '\n') break;
    ++size;
  }
  to[size] = '\0';
  return (long)size;
}

static int digit(char c) { return c <= '9' ? c - '0' : c - 'a' + 10; }

static size_t unhex(char *to, const char *hex) {
  size_t size = 0;
  for (; hex[0] != '"' && hex[0] != '\0'; hex += 2) to[size++] = (char)(digit(hex[0]) << 4 | digit(hex[1]));
  to[size] = '\0';
  return size;
}

static void hear(void) {
  static char got[kMost / 2];
  if (strlen(heard) > 0) strcat(heard, ",");
  if (read_line(got, sizeof got - 1) < 0) strcpy(got, "\"end\"");
  strcat(heard, got);
}

static void tell(void) {
  printf("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":[%s]}\n", heard);
  fflush(stdout);
}

static void repeat(int fd, const char *text, long bytes) {
  for (long sent = 0; sent < bytes; sent += (long)strlen(text)) put(fd, text, strlen(text));
}

static void blank(long bytes) {
  static char chunk[65536];
  memset(chunk, ' ', sizeof chunk);
  for (size_t end = 1023; end < sizeof chunk; end += 1024) chunk[end] = '\n';
  for (long sent = 0; sent < bytes; sent += (long)sizeof chunk) put(1, chunk, sizeof chunk);
}

static void nested(long depth) {
  for (long i = 0; i < depth; ++i) put(1, "[", 1);
  for (long i = 0; i < depth; ++i) put(1, "]", 1);
}

static void nap(long milliseconds) {
  const struct timespec wanted = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  nanosleep(&wanted, NULL);
}

static void clocks(void) {
  struct timespec before;
  struct timespec after;
  clock_gettime(CLOCK_MONOTONIC, &before);
  nap(20);
  clock_gettime(CLOCK_MONOTONIC, &after);
  const int64_t slept = (after.tv_sec - before.tv_sec) * 1000 + (after.tv_nsec - before.tv_nsec) / 1000000;
  printf("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":%s}\n", slept >= 20 && slept < 10000 ? "true" : "false");
  fflush(stdout);
}

static void grow(long mib) {
  for (long i = 0; i < mib; ++i) {
    char *block = malloc(1 << 20);
    if (block == NULL) return line(1, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"no memory\"}");
    ((volatile char *)block)[0] = 1;  // so that it is really asked for
  }
}

static void run(char *statement) {
  char *rest = strchr(statement, ' ');
  rest = rest == NULL ? statement + strlen(statement) : rest + 1;
  const size_t length = strcspn(statement, " ");
  const long number = strtol(rest, NULL, 10);
#define IS(word) (length == strlen(word) && strncmp(statement, word, length) == 0)
  if (IS("out")) line(1, rest);
  if (IS("part")) put(1, rest, strlen(rest));
  if (IS("raw")) put(1, script + kMost / 2, unhex(script + kMost / 2, rest));
  if (IS("err")) line(2, rest);
  if (IS("hear")) hear();
  if (IS("tell")) tell();
  if (IS("exit")) _exit((int)number);
  if (IS("trap")) __builtin_trap();
  if (IS("spin")) for (volatile int i = 0;; ++i) {}
  if (IS("sleep")) nap(number);
  if (IS("clocks")) clocks();
  if (IS("grow")) grow(number);
  if (IS("nested")) nested(number);
  if (IS("notify")) repeat(1, "{\"jsonrpc\":\"2.0\",\"method\":\"m\",\"params\":0}\n", number);
  if (IS("blank")) blank(number);
  if (IS("stream")) repeat(1, "\"no end of a line, and it goes on, and on, and on, and on, and on, and on, and on, and on", number);
  if (IS("chatter")) repeat(2, "a line of the log\n", number);
  if (IS("mutter")) repeat(2, "no newline ", number);
#undef IS
}

int main(int count, char **arguments) {
  (void)arguments;
  if (read_line(request, sizeof request - 1) < 0) return 92;
  const char *params = strstr(request, "\"params\":\"");
  if (params == NULL) {  // not a script: tells what it got
    strcpy(heard, request);
    tell();
    return count > 1;
  }
  unhex(script, params + strlen("\"params\":\""));
  for (char *statement = strtok(script, "\n"); statement != NULL; statement = strtok(NULL, "\n")) run(statement);
  return 0;
}
