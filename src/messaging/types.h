// The nouns of the message service as the storage keeps them. Keys, ids and payloads are raw bytes
// here; base64 and hex exist only in the API. Times are milliseconds since the Unix epoch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heddle::messaging {

inline constexpr std::size_t kIdentityKeyBytes = 32;  // Ed25519
inline constexpr std::size_t kChannelIdBytes = 16;

// NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
struct Account {
  std::uint64_t id = 0;
  std::string username = {};
  std::string identity_key = {};
  std::string password_hash = {};
};

// A login. The token itself is with the client only.
struct Session {
  std::string token_hash = {};
  std::uint64_t account = 0;
  std::int64_t expires_at = 0;
};

// Two accounts that may write to each other; `low` <= `high` bytewise, so that a pair has one
// channel whoever opens it.
struct Channel {
  std::uint64_t number = 0;
  std::string id = {};
  std::string low = {};
  std::string high = {};
  bool has(const std::string& key) const { return key == low || key == high; }
};

// What a message carries: `body` is UTF-8 text, or with `encrypted` opaque bytes.
struct NewMessage {
  std::string recipient_key = {};
  std::uint64_t channel = 0;
  std::string sender_key = {};  // empty: sealed
  bool encrypted = false;
  std::string body = {};
  std::vector<std::string> files = {};
  std::int64_t sent_at = 0;
  std::string repeat_key =
      {};  // what a repeat of the same request has in common; empty: no repeats
};

struct StoredMessage {
  std::uint64_t id = 0;
  std::uint64_t seq = 0;
  std::string channel_id = {};
  std::string sender_key = {};
  bool encrypted = false;
  std::string body = {};
  std::vector<std::string> files = {};
  std::int64_t sent_at = 0;
};

// The answer to an enqueue.
struct Receipt {
  std::uint64_t id = 0;
  std::uint64_t seq = 0;
  bool repeated = false;  // an earlier request with the same repeat_key stored it
};

struct Fetch {
  std::string recipient_key = {};
  std::uint64_t after = 0;    // seq
  std::uint64_t channel = 0;  // 0: all
  std::size_t limit = 0;
  std::size_t max_bytes = 0;  // of bodies and file names; the first comes whatever its size
};

struct Mailbox {
  std::uint64_t count = 0;
  std::uint64_t first_seq = 0;
  std::uint64_t last_seq = 0;
};

struct Quota {
  std::uint64_t messages = 0;  // that wait in one mailbox; 0: no limit
  std::uint64_t bytes = 0;
};

// NOLINTEND(readability-redundant-member-init)

}  // namespace heddle::messaging
