/* VARIANT 1: init returns 3. 2: exports something else. 3: knows a longer table. 4: an empty table.
 * 5: a symbol that nobody has. 6: sleeps 1.5 s in on_message_enqueue. 7: nothing but it, fast.
 * 8: init aborts. */
#include <heddle/abi/qpc_plugin.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if VARIANT == 2
int32_t another_init(HookVTable *vtable);
int32_t another_init(HookVTable *vtable) { return vtable == NULL; }
#else

#if VARIANT == 3
typedef struct LongTable {
  HookVTable known;
  void (*on_something_new)(void *user_data);
} LongTable;
static void destroy(void *data) {
  const char *path = getenv("QPC_RECORDER_FILE");
  FILE *file = path == NULL ? NULL : fopen(path, "a");
  if (file == NULL) return;
  fputs("destroy\n", file);
  fclose(file);
}
#elif VARIANT == 5
void nobody_has_this(void);
#elif VARIANT == 6 || VARIANT == 7
static int32_t on_message_enqueue(void *data, const CMessageEvent *event) {
  (void)data;
  (void)event;
#if VARIANT == 6
  nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
#endif
  return HOOK_CONTINUE;
}
#endif

int32_t qpc_plugin_init(HookVTable *vtable) {
#if VARIANT == 1
  (void)vtable;
  return 3;
#elif VARIANT == 3
  *(LongTable *)vtable = (LongTable){.known = {.destroy = destroy}};
  return PLUGIN_OK;
#elif VARIANT == 5
  (void)vtable;
  nobody_has_this();
  return PLUGIN_OK;
#elif VARIANT == 6 || VARIANT == 7
  vtable->on_message_enqueue = on_message_enqueue;
  return PLUGIN_OK;
#elif VARIANT == 8
  (void)vtable;
  abort();
#else
  (void)vtable;
  return PLUGIN_OK;
#endif
}
#endif
