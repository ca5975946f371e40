// The extension point of the message service: a MessageHook allows or rejects a message on its way
// into the store, and observes what happens there.
//
// Both hook contracts fill it: message_hook (asked at kSend, told of kSent) and native_hook (asked
// at kEnqueue, told of everything else). A hook may be called on every worker at once; whoever
// needs calls in turn (one instance for the process) locks for itself. The service calls hooks
// through a HookChain, message_hook_chain.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

// Where in the service a hook is called. The first two ask, the others tell.
enum class HookMoment : std::uint8_t {
  kSend,     // message_hook: before anything is stored; no seq yet
  kEnqueue,  // native_hook: after kSend was passed, before storing; the seq is reserved
  kSent,
  kBatch,
  kAuth,
  kChannel,
  kFetch,
  kUser,
};
inline constexpr std::size_t kHookMoments = static_cast<std::size_t>(HookMoment::kUser) + 1;
std::string_view to_string(HookMoment moment);  // "send", "enqueue", …

// One message. Views belong to whoever made the event and stay valid until the verdict is there, or
// until tell() has returned.
struct MessageEvent {
  std::string_view sender_identity;  // Ed25519 key, 32 bytes; empty: sealed sender
  std::string_view recipient_key;    // 32 bytes
  std::string_view channel_id;       // 16 bytes
  std::size_t payload_size = 0;      // bytes of the payload as it is stored
  std::uint64_t seq = 0;             // of the recipient; 0 at kSend

  std::string_view text;  // UTF-8; of an encrypted message the base64 of its payload
  std::span<const std::string_view> involved_files;
  std::uint64_t session_id = 0;  // number of the channel
  std::uint64_t sender_id = 0;   // number of the account; 0: sealed sender
  bool is_encrypted = false;

  // {"markdown_text","involved_files","session_id","sender_id","is_encrypted"}: written once for
  // all hooks that read it. One thread at a time.
  std::string_view json() const;

 private:
  mutable std::string json_;
};

// The message of this id was stored and is on its way.
struct SentEvent {
  std::uint64_t message_id = 0;
};
// These messages of a batch were stored.
struct BatchEvent {
  std::span<const MessageEvent> messages;
};
struct AuthEvent {
  std::string_view username;
  bool success = false;
  std::string_view failure_reason;  // empty on success
};
struct ChannelEvent {
  std::string_view channel_id;     // 16 bytes
  std::string_view initiator_key;  // 32 bytes
  std::string_view peer_key;       // 32 bytes
  bool was_new = false;            // false: it was there and was looked up
};
struct FetchEvent {
  std::string_view recipient_key;  // 32 bytes
  std::string_view channel_id;     // 16 bytes; empty: of all channels
  std::size_t message_count = 0;
};
struct UserEvent {
  std::string_view username;
  std::string_view identity_key;  // 32 bytes
};
using HookEvent =
    std::variant<SentEvent, BatchEvent, AuthEvent, ChannelEvent, FetchEvent, UserEvent>;
HookMoment moment_of(const HookEvent& event);

struct Verdict {
  bool allowed = true;
  std::string reason;  // why not; for the sender
  std::string plugin;  // which one rejected
};

// Where a verdict goes that was not there at once.
class VerdictReceiver {
 public:
  virtual void on_verdict(Verdict verdict) = 0;

 protected:
  ~VerdictReceiver() = default;
};

class MessageHook {
 public:
  virtual ~MessageHook() = default;
  virtual const std::string& name() const = 0;       // of the plugin
  virtual const std::string& file_name() const = 0;  // hooks are called in its order
  // Whether it does anything at this moment; the chain calls it at no other.
  virtual bool wants(HookMoment moment) const = 0;

  // kSend or kEnqueue. The verdict, or nothing: then it comes through `receiver` exactly once, on
  // the same worker, as an event of its own, and event and receiver live until then. A hook that
  // fails decides by its own policy (`on_failure`), so there is always a verdict.
  virtual std::optional<Verdict> ask(HookMoment moment, net::Worker& worker,
                                     const MessageEvent& event, VerdictReceiver& receiver) = 0;
  // Whether ask() always returns the verdict and never keeps its receiver.
  virtual bool answers_at_once() const { return false; }
  // The other moments. Nothing comes back.
  virtual void tell(net::Worker& worker, const HookEvent& event) = 0;
  // The server goes down: it accepts no more connections, those that it has are still open. Any
  // thread; may block until the hook has written what it keeps. Repeating it is harmless.
  virtual void shut_down() {}
};

}  // namespace heddle::extension
