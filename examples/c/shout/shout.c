// A route plugin in C without an allocator, without a library: Heddle places the input in memory
// that it adds to the module's own.
//
// GET /shout/{word} answers {"shouted":"WORD!"}.
#define EXPORT(name) __attribute__((export_name(#name)))

static char answer[256];

static char* append(char* out, const char* text) {
  while (*text != 0) *out++ = *text++;
  return out;
}

static int starts_with(const char* text, const char* end, const char* wanted) {
  while (*wanted != 0) {
    if (text == end || *text++ != *wanted++) return 0;
  }
  return 1;
}

// Where the value of "word" begins; `end` when the input has none.
static const char* find_word(const char* input, const char* end) {
  static const char kKey[] = "\"word\":\"";
  for (const char* at = input; at < end; ++at) {
    if (starts_with(at, end, kKey)) return at + sizeof kKey - 1;
  }
  return end;
}

EXPORT(shout) const char* shout(const char* input, int length) {
  const char* end = input + length;
  char* out = append(answer, "{\"shouted\":\"");
  for (const char* at = find_word(input, end); at < end && *at != '"' && *at != '\\'; ++at) {
    if (out == answer + sizeof answer - 4) break;  // room for what follows
    *out++ = *at >= 'a' && *at <= 'z' ? (char)(*at - 'a' + 'A') : *at;
  }
  *append(out, "!\"}") = 0;
  return answer;
}
