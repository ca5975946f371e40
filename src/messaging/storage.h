// Where the message service keeps what must outlive it. One implementation for each database.
//
// Every call answers through its callback exactly once, on a thread of the storage's own; a write
// is answered when it is on the disk. Errors: kNotFound, kConflict (exists already), kLimit (a
// quota), kUnavailable (the database cannot be used now; a later call may succeed).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "messaging/types.h"

namespace heddle::messaging {

template <typename T>
using Reply = std::move_only_function<void(Result<T>)>;

// The next number of a recipient's mailbox, held while hooks decide: nobody else gets a number of
// this recipient until it is stored or, by destroying this, given back.
class Reservation {
 public:
  virtual ~Reservation() = default;
  virtual std::uint64_t seq() const = 0;
  virtual void store(NewMessage message, Reply<Receipt> done) = 0;  // once
};

// kConflict of create_account: which of the two is taken.
inline constexpr std::string_view kUsernameTaken = "the username is taken";
inline constexpr std::string_view kIdentityTaken = "the identity key belongs to another account";

struct OpenedChannel {
  Channel channel;
  bool was_new = false;
};

class Storage {
 public:
  virtual ~Storage() = default;

  virtual void create_account(Account account, Reply<Account> done) = 0;
  virtual void account_by_name(std::string username, Reply<Account> done) = 0;
  virtual void account_by_key(std::string identity_key, Reply<Account> done) = 0;

  virtual void add_session(Session session, Reply<std::monostate> done) = 0;
  struct LoggedIn {
    Session session;
    Account account;
  };
  virtual void session(std::string token_hash, Reply<LoggedIn> done) = 0;
  virtual void remove_session(std::string token_hash, Reply<std::monostate> done) = 0;

  // `id` is used when the pair has no channel yet.
  virtual void open_channel(std::string id, std::string one, std::string other,
                            Reply<OpenedChannel> done) = 0;
  virtual void channel(std::string id, Reply<Channel> done) = 0;

  // The receipt of an earlier request with this key, if there was one.
  virtual void repeated(std::string repeat_key, Reply<std::optional<Receipt>> done) = 0;
  virtual void reserve(std::string recipient_key, Reply<std::unique_ptr<Reservation>> done) = 0;

  virtual void fetch(Fetch fetch, Reply<std::vector<StoredMessage>> done) = 0;
  virtual void peek(std::string recipient_key, Reply<Mailbox> done) = 0;
  // Drops the messages up to this seq; how many there were.
  virtual void acknowledge(std::string recipient_key, std::uint64_t up_to,
                           Reply<std::uint64_t> done) = 0;
  // Drops messages and repeat keys from before `sent_before`, and sessions that ended before `now`;
  // how many messages.
  virtual void expire(std::int64_t sent_before, std::int64_t now, Reply<std::uint64_t> done) = 0;

  // Random bytes made with the database, which every server on it shares.
  virtual const std::string& secret() const = 0;
};

}  // namespace heddle::messaging
