// A route plugin that does with its request's body what the handler's name says. The body is the last
// member of the input (merge_body: false). Texts of the host are returned as they are, so a test sees
// what a guest sees.
#define EXPORT(name) __attribute__((export_name(#name))) name
#define IMPORT(name) __attribute__((import_module("env"), import_name(#name))) name

typedef __SIZE_TYPE__ size;

const char* IMPORT(db_query)(const char* query, size length);
int IMPORT(db_execute)(const char* statement, size length);
const char* IMPORT(http_request)(const char* method, size method_length, const char* url, size url_length,
                                 const char* body, size body_length);
const char* IMPORT(state_get)(const char* key, size length);
int IMPORT(state_set)(const char* key, size length, const char* value, size value_length);
const char* IMPORT(get_config)(const char* key, size length);
int IMPORT(emit_event)(const char* event, size length, const char* payload, size payload_length);
void IMPORT(log_info)(const char* text, size length);

static char room[1 << 16];
static int count;

struct text {
  const char* at;
  size length;
};

#define TEXT(literal) literal, sizeof(literal) - 1

// From behind `,"body":` to the brace that ends the input.
static struct text body_of(const char* input, size length) {
  static const char kKey[] = ",\"body\":";
  for (size i = 0; i + sizeof kKey < length; ++i) {
    size same = 0;
    while (same < sizeof kKey - 1 && input[i + same] == kKey[same]) ++same;
    if (same == sizeof kKey - 1) {
      return (struct text){input + i + same, length - i - same - 1};
    }
  }
  return (struct text){input, 0};
}

// What stands between the quotes of a JSON string.
static struct text plain(struct text quoted) {
  if (quoted.length < 2 || quoted.at[0] != '"') return quoted;
  return (struct text){quoted.at + 1, quoted.length - 2};
}

static const char* number(int value) {
  char* out = room + sizeof room - 1;
  const int negative = value < 0;
  if (negative) value = -value;
  *out = 0;
  do {
    *--out = (char)('0' + value % 10);
    value /= 10;
  } while (value > 0);
  if (negative) *--out = '-';
  return out;
}

static char* append(char* out, const char* text, size length) {
  for (size i = 0; i < length && out < room + sizeof room - 2; ++i) *out++ = text[i];
  return out;
}

static size length_of(const char* prefixed) {
  return *(const unsigned*)prefixed;
}

int EXPORT(init)(void) {
  const char* wanted = get_config(TEXT("init"));
  return wanted ? wanted[4] - '0' : 0;
}

int EXPORT(cleanup)(void) {
  log_info(TEXT("cleaned up"));
  return 0;
}

const char* EXPORT(echo)(const char* input, size length) {
  (void)length;
  return input;
}

const char* EXPORT(query)(const char* input, size length) {
  const struct text body = body_of(input, length);
  return db_query(body.at, body.length);
}

const char* EXPORT(execute_sql)(const char* input, size length) {
  const struct text body = body_of(input, length);
  return number(db_execute(body.at, body.length));
}

// In an object of its own, as the answer would be taken for that of the handler.
const char* EXPORT(fetch)(const char* input, size length) {
  const struct text url = plain(body_of(input, length));
  const char* answer = http_request(TEXT("GET"), url.at, url.length, 0, 0);
  char* out = append(room, TEXT("{\"fetched\":"));
  out = append(out, answer, length_of(answer - 4));
  *append(out, TEXT("}")) = 0;
  return room;
}

const char* EXPORT(keep)(const char* input, size length) {
  const struct text body = body_of(input, length);
  return number(state_set(TEXT("kept"), body.at, body.length));
}

const char* EXPORT(kept)(const char* input, size length) {
  (void)input, (void)length;
  return state_get(TEXT("kept"));
}

const char* EXPORT(emit)(const char* input, size length) {
  const struct text body = body_of(input, length);
  return number(emit_event(TEXT("test.done"), body.at, body.length));
}

// A list of everything heard, in the order of its coming.
const char* EXPORT(on_event)(const char* input, size length) {
  char* out = room;
  const char* before = state_get(TEXT("heard"));
  if (before) {
    out = append(out, before + 4, length_of(before));
    *out++ = ',';
  }
  out = append(out, input, length);
  state_set(TEXT("heard"), room, (size)(out - room));
  return 0;
}

// The same, after an answer of the service that the configuration names ("http://…").
const char* EXPORT(on_event_slowly)(const char* input, size length) {
  const char* url = get_config(TEXT("service"));
  if (!url) __builtin_trap();
  const struct text plain_url = plain((struct text){url + 4, length_of(url)});
  http_request(TEXT("GET"), plain_url.at, plain_url.length, 0, 0);
  return on_event(input, length);
}

const char* EXPORT(heard)(const char* input, size length) {
  (void)input, (void)length;
  const char* list = state_get(TEXT("heard"));
  char* out = append(room, TEXT("["));
  if (list) out = append(out, list + 4, length_of(list));
  out = append(out, TEXT("]"));
  *out = 0;
  return room;
}

// 1, 2, 3 as long as it is one instance.
const char* EXPORT(count_calls)(const char* input, size length) {
  (void)input, (void)length;
  return number(++count);
}

const char* EXPORT(trap)(const char* input, size length) {
  (void)input, (void)length;
  __builtin_trap();
}
