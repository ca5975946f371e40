/* The plugin ABI of quicprochat servers, as Heddle's native_hook contract offers it.
 *
 * A plugin is a shared object that exports one function, which fills the slots of the table that it
 * cares about (the table comes zeroed; an empty slot does nothing) and returns 0, or any other
 * number when it cannot start:
 *
 *     int32_t qpc_plugin_init(HookVTable* vtable);
 *
 * The same source compiles to wasm32, where pointers have four bytes and slots hold table indices;
 * link it with -Wl,--export-table.
 *
 * Memory: events belong to the server and are valid during the callback only. Lengths never count
 * the NUL that ends a username or a failure reason.
 *
 * Threads: the server calls from several threads at once. Only on_message_enqueue of a plugin that
 * has an error_message comes one call at a time, because the text belongs to user_data.
 */
#ifndef HEDDLE_ABI_QPC_PLUGIN_H_
#define HEDDLE_ABI_QPC_PLUGIN_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* C, and one layout for two word sizes.
 * NOLINTBEGIN(modernize-use-using,bugprone-branch-clone) */

#define PLUGIN_OK 0

#define HOOK_CONTINUE 0
#define HOOK_REJECT 1 /* every value but HOOK_CONTINUE rejects */

typedef struct CMessageEvent {
  const uint8_t* sender_identity; /* Ed25519 key of 32 bytes; NULL when the sender is sealed */
  size_t sender_identity_len;     /* 0 when NULL */
  const uint8_t* recipient_key;   /* 32 bytes */
  size_t recipient_key_len;
  const uint8_t* channel_id; /* 16 bytes */
  size_t channel_id_len;
  size_t payload_len;
  uint64_t seq; /* of the recipient, given by the server */
} CMessageEvent;

typedef struct CAuthEvent {
  const uint8_t* username; /* ends with NUL */
  size_t username_len;
  int32_t success;               /* non-zero on success */
  const uint8_t* failure_reason; /* ends with NUL; empty on success */
  size_t failure_reason_len;
} CAuthEvent;

typedef struct CChannelEvent {
  const uint8_t* channel_id; /* 16 bytes */
  size_t channel_id_len;
  const uint8_t* initiator_key; /* 32 bytes */
  size_t initiator_key_len;
  const uint8_t* peer_key; /* 32 bytes */
  size_t peer_key_len;
  int32_t was_new; /* zero: the channel was there already */
} CChannelEvent;

typedef struct CFetchEvent {
  const uint8_t* recipient_key; /* 32 bytes */
  size_t recipient_key_len;
  const uint8_t* channel_id; /* 16 bytes, or NULL: of all channels */
  size_t channel_id_len;
  size_t message_count;
} CFetchEvent;

typedef struct HookVTable {
  /* The first argument of every call. */
  void* user_data;

  /* Before a message is stored: HOOK_CONTINUE, or a rejection. */
  int32_t (*on_message_enqueue)(void* user_data, const CMessageEvent* event);
  /* After the messages of a batch were stored. */
  void (*on_batch_enqueue)(void* user_data, const CMessageEvent* events, size_t count);
  /* After each attempt to log in. */
  void (*on_auth)(void* user_data, const CAuthEvent* event);
  /* After a channel was made or looked up. */
  void (*on_channel_created)(void* user_data, const CChannelEvent* event);
  /* After messages were fetched or pushed. */
  void (*on_fetch)(void* user_data, const CFetchEvent* event);
  /* After a registration. The username ends with NUL. */
  void (*on_user_registered)(void* user_data, const uint8_t* username, size_t username_len,
                             const uint8_t* identity_key, size_t identity_key_len);
  /* Why on_message_enqueue rejected: ends with NUL, valid until the next call. NULL: no reason. */
  const uint8_t* (*error_message)(void* user_data);
  /* Once, when nothing will be called any more. */
  void (*destroy)(void* user_data);
  /* Once, before destroy; when the server goes down, before connections are closed. */
  void (*on_shutdown)(void* user_data);
} HookVTable;

#if defined(__wasm__)
#define QPC_EXPORT __attribute__((export_name("qpc_plugin_init")))
#elif defined(__clang__) || defined(__GNUC__)
#define QPC_EXPORT __attribute__((visibility("default")))
#else
#define QPC_EXPORT
#endif

QPC_EXPORT int32_t qpc_plugin_init(HookVTable* vtable);

/* The layout is the contract: a compiler that sees it otherwise must not build a plugin. */
#ifdef __cplusplus
#define QPC_ASSERT(condition) static_assert(condition, #condition)
#else
#define QPC_ASSERT(condition) _Static_assert(condition, #condition)
#endif
#define QPC_AT(type, field, at64, at32) \
  QPC_ASSERT(offsetof(type, field) == (sizeof(void*) == 8 ? (at64) : (at32)))
#define QPC_SIZE(type, size64, size32) \
  QPC_ASSERT(sizeof(type) == (sizeof(void*) == 8 ? (size64) : (size32)))

QPC_ASSERT(sizeof(void*) == 8 || sizeof(void*) == 4);
QPC_ASSERT(sizeof(size_t) == sizeof(void*));

QPC_AT(CMessageEvent, sender_identity, 0, 0);
QPC_AT(CMessageEvent, sender_identity_len, 8, 4);
QPC_AT(CMessageEvent, recipient_key, 16, 8);
QPC_AT(CMessageEvent, recipient_key_len, 24, 12);
QPC_AT(CMessageEvent, channel_id, 32, 16);
QPC_AT(CMessageEvent, channel_id_len, 40, 20);
QPC_AT(CMessageEvent, payload_len, 48, 24);
QPC_AT(CMessageEvent, seq, 56, 32);
QPC_SIZE(CMessageEvent, 64, 40);

QPC_AT(CAuthEvent, username, 0, 0);
QPC_AT(CAuthEvent, username_len, 8, 4);
QPC_AT(CAuthEvent, success, 16, 8);
QPC_AT(CAuthEvent, failure_reason, 24, 12);
QPC_AT(CAuthEvent, failure_reason_len, 32, 16);
QPC_SIZE(CAuthEvent, 40, 20);

QPC_AT(CChannelEvent, channel_id, 0, 0);
QPC_AT(CChannelEvent, channel_id_len, 8, 4);
QPC_AT(CChannelEvent, initiator_key, 16, 8);
QPC_AT(CChannelEvent, initiator_key_len, 24, 12);
QPC_AT(CChannelEvent, peer_key, 32, 16);
QPC_AT(CChannelEvent, peer_key_len, 40, 20);
QPC_AT(CChannelEvent, was_new, 48, 24);
QPC_SIZE(CChannelEvent, 56, 28);

QPC_AT(CFetchEvent, recipient_key, 0, 0);
QPC_AT(CFetchEvent, recipient_key_len, 8, 4);
QPC_AT(CFetchEvent, channel_id, 16, 8);
QPC_AT(CFetchEvent, channel_id_len, 24, 12);
QPC_AT(CFetchEvent, message_count, 32, 16);
QPC_SIZE(CFetchEvent, 40, 20);

QPC_AT(HookVTable, user_data, 0, 0);
QPC_AT(HookVTable, on_message_enqueue, 8, 4);
QPC_AT(HookVTable, on_batch_enqueue, 16, 8);
QPC_AT(HookVTable, on_auth, 24, 12);
QPC_AT(HookVTable, on_channel_created, 32, 16);
QPC_AT(HookVTable, on_fetch, 40, 20);
QPC_AT(HookVTable, on_user_registered, 48, 24);
QPC_AT(HookVTable, error_message, 56, 28);
QPC_AT(HookVTable, destroy, 64, 32);
QPC_AT(HookVTable, on_shutdown, 72, 36);
QPC_SIZE(HookVTable, 80, 40);

/* NOLINTEND(modernize-use-using,bugprone-branch-clone) */

#ifdef __cplusplus
}
#endif

#endif /* HEDDLE_ABI_QPC_PLUGIN_H_ */
