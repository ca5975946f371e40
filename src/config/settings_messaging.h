// The rows of the message service: messaging, storage. A part of the one table (settings.cc), which
// is all that includes this.
#pragma once

#include <cstdint>

#include "config/settings.h"

// clang-format off
namespace heddle::config::messaging {

using enum Type;
using access::object;
using access::value;
using namespace unit;


inline constexpr Setting kStorage[] = {
    {.key = "url", .member = value<&Storage::url>(), .check = check_storage_url,
     .shown_default = "sqlite:messages.db in data_dir", .example = "sqlite:/var/lib/heddle/messages.db",
     .help = "Where accounts and messages are kept; postgresql://user:password@host/database is a PostgreSQL, which several servers may share.",
     .needs_restart = true, .secret = true},
    {.key = "timeout", .type = kDuration, .member = value<&Storage::timeout>(), .min = 100, .max = kDay,
     .help = "Longest time of a statement in PostgreSQL.", .needs_restart = true},
};

inline constexpr Setting kHooks[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&MessageHooks::enabled>(),
     .shown_default = "true, if the section is there", .help = "Whether the plugins of the folder are loaded."},
    {.key = "directory", .type = kPath, .member = value<&MessageHooks::directory>(),
     .shown_default = "plugins", .example = "plugins",
     .help = "The folder of message_hook plugins (*.wasm), called in the order of their names; made when it is missing. Relative to the configuration file.",
     .beside_file = true},
    {.key = "max_memory", .type = kSize, .member = value<&MessageHooks::max_memory>(), .min = 64 * 1024, .max = 4 * kGiB,
     .help = "Most memory of each plugin."},
    {.key = "max_execution_time", .type = kDuration, .member = value<&MessageHooks::max_execution_time>(), .min = 1, .max = kDay,
     .help = "Longest call of each plugin."},
    {.key = "max_memory_mb", .type = kInteger, .member = value<&MessageHooks::max_memory_mb>(), .min = 0, .max = 4'096,
     .shown_default = "max_memory", .help = "max_memory in MiB, as OurChat's guide calls it."},
    {.key = "max_execution_time_ms", .type = kInteger, .member = value<&MessageHooks::max_execution_time_ms>(), .min = 0, .max = kDay,
     .shown_default = "max_execution_time", .help = "max_execution_time in milliseconds, as OurChat's guide calls it."},
};

inline constexpr Setting kMessaging[] = {
    {.key = "enabled", .type = kBoolean, .member = value<&Messaging::enabled>(),
     .help = "Whether the message service runs; without an upstream that is builtin: messages, /v1/* leads to it.",
     .needs_restart = true},
    {.key = "registration", .type = kBoolean, .member = value<&Messaging::registration>(),
     .help = "Whether anybody may make an account.",
     .needs_restart = true},
    {.key = "session_lifetime", .type = kDuration, .member = value<&Messaging::session_lifetime>(), .min = 1'000, .max = kYear,
     .help = "How long a login lasts.",
     .needs_restart = true},
    {.key = "password_memory", .type = kSize, .member = value<&Messaging::password_memory>(), .min = 8'192, .max = kGiB,
     .help = "Memory of one Argon2id hash; two are made at a time.",
     .needs_restart = true},
    {.key = "password_operations", .type = kInteger, .member = value<&Messaging::password_operations>(), .min = 1, .max = 100,
     .help = "Passes of one Argon2id hash over its memory.",
     .needs_restart = true},
    {.key = "login_failures", .type = kInteger, .member = value<&Messaging::login_failures>(), .min = 0, .max = 1'000'000,
     .help = "Failed logins to one account from one address before it is locked out there (4 times as many from the address, 20 times as many to the account); 0: never.",
     .needs_restart = true},
    {.key = "login_lockout", .type = kDuration, .member = value<&Messaging::login_lockout>(), .min = 1, .max = kYear,
     .help = "How long a lock-out lasts.",
     .needs_restart = true},
    {.key = "logins_per_second", .type = kInteger, .member = value<&Messaging::logins_per_second>(), .min = 0, .max = 1'000'000,
     .help = "Logins and registrations of one address; 0: no limit.",
     .needs_restart = true},
    {.key = "login_burst", .type = kInteger, .member = value<&Messaging::login_burst>(), .min = 1, .max = 1'000'000,
     .help = "Of those, how many at once.",
     .needs_restart = true},
    {.key = "messages_per_second", .type = kInteger, .member = value<&Messaging::messages_per_second>(), .min = 0, .max = 1'000'000,
     .help = "Messages and channels of one account; 0: no limit.",
     .needs_restart = true},
    {.key = "message_burst", .type = kInteger, .member = value<&Messaging::message_burst>(), .min = 1, .max = 1'000'000,
     .help = "Of those, how many at once.",
     .needs_restart = true},
    {.key = "max_payload", .type = kSize, .member = value<&Messaging::max_payload>(), .min = 1, .max = kGiB,
     .help = "Size of one message; beyond it 413.",
     .needs_restart = true},
    {.key = "max_body", .type = kSize, .member = value<&Messaging::max_body>(), .min = 1'024, .max = kGiB,
     .help = "Size of one request, base64 included; beyond it 413.",
     .needs_restart = true},
    {.key = "max_batch", .type = kInteger, .member = value<&Messaging::max_batch>(), .min = 1, .max = 10'000,
     .help = "Messages of one batch.",
     .needs_restart = true},
    {.key = "max_fetch", .type = kInteger, .member = value<&Messaging::max_fetch>(), .min = 1, .max = 100'000,
     .help = "Messages that one fetch gives.",
     .needs_restart = true},
    {.key = "max_wait", .type = kDuration, .member = value<&Messaging::max_wait>(), .min = 0, .max = kDay,
     .help = "How long a fetch may wait for a message; keep it below the time-out of the route.",
     .needs_restart = true},
    {.key = "mailbox_messages", .type = kInteger, .member = value<&Messaging::mailbox_messages>(), .min = 0,
     .help = "Messages that may wait in one mailbox; 0: no limit.",
     .needs_restart = true},
    {.key = "mailbox_bytes", .type = kSize, .member = value<&Messaging::mailbox_bytes>(), .min = 0,
     .help = "Bytes of messages, and of the file names that they involve, that may wait in one mailbox; 0: no limit.",
     .needs_restart = true},
    {.key = "retention", .type = kDuration, .member = value<&Messaging::retention>(), .min = 0, .max = 10 * kYear,
     .help = "How long a message waits for its recipient; 0: for ever.",
     .needs_restart = true},
    {.key = "hooks", .type = kObject, .member = object<&Messaging::hooks>(), .rows = kHooks,
     .help = "OurChat's plugins of the message service; `heddle serve --ourchat-config FILE` reads the same from OurChat's own configuration."},
};

}  // namespace heddle::config::messaging
// clang-format on
