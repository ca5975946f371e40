// The message service: accounts, channels and mailboxes with the hooks around them, without HTTP.
//
// One object for the process; its coroutines run on the worker that they are given. Everything a
// coroutine takes is a value. The order of an enqueue is that of the design (contracts.md): limits,
// checks, on_message_send, on_message_enqueue with the number reserved, store; announce() does what
// comes after the reply.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "extension/message_hook_chain.h"
#include "messaging/bell.h"
#include "messaging/cache.h"
#include "messaging/hub.h"
#include "messaging/outcome.h"
#include "messaging/passwords.h"
#include "messaging/rate_limiter.h"
#include "messaging/repeats.h"
#include "messaging/storage.h"
#include "messaging/task.h"
#include "net/timer.h"
#include "services/login_guard.h"

namespace heddle::messaging {

// NOLINTBEGIN(readability-redundant-member-init): without it designated initialisers warn
struct SendRequest {
  std::string recipient_key = {};
  std::string channel_id = {};
  bool encrypted = false;
  std::string body = {};
  std::vector<std::string> files = {};
  bool sealed = false;
  std::string client_message_id = {};  // empty: none
};

struct FetchRequest {
  std::uint64_t after = 0;
  std::string channel_id = {};  // empty: all
  std::size_t limit = 100;
  std::chrono::milliseconds wait{0};
  bool silent_when_empty = false;  // hooks hear only of messages
};
// NOLINTEND(readability-redundant-member-init)

struct Login {
  std::string token;
  std::int64_t expires_at = 0;
};

// A message that was stored, for what follows the reply.
struct Sent {
  Receipt receipt;
  std::string recipient_key;
};

class MessageService {
 public:
  struct Dependencies {
    std::unique_ptr<Storage> storage;
    const config::Messaging& settings;  // copied
    const extension::MessageHooks& hooks;
    Log& log;
    metrics::Registry& metrics;
    // Other servers use the same database, so that what they change shows up.
    bool shared = false;
  };
  explicit MessageService(Dependencies dependencies);
  ~MessageService();
  MessageService(const MessageService&) = delete;
  MessageService& operator=(const MessageService&) = delete;

  // Housekeeping on `worker`, which may not run yet.
  void start(net::Worker& worker);
  // Who waits for messages is answered at once from now on. Any thread.
  void stop_waiting() { hub_.close(); }
  // Returns when the last request has ended, with its client or without. Not on a worker; no
  // request comes any more, and the workers run.
  void finish();
  // A request under way; what it uses of the service stays until this is gone.
  class Busy {
   public:
    explicit Busy(MessageService& service) : service_(&service) { service.busy_.fetch_add(1); }
    Busy(Busy&& other) noexcept : service_(std::exchange(other.service_, nullptr)) {}
    Busy& operator=(Busy&&) = delete;
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    ~Busy() {
      if (service_ != nullptr && service_->busy_.fetch_sub(1) == 1) service_->busy_.notify_all();
    }

   private:
    MessageService* service_;
  };

  const config::Messaging& settings() const { return settings_; }
  Hub& hub() { return hub_; }

  // `address`: of the client, for limits.
  Task<Outcome<Account>> register_account(net::Worker& worker, std::string username,
                                          std::string password, std::string identity_key,
                                          std::string address);
  Task<Outcome<Login>> log_in(net::Worker& worker, std::string username, std::string password,
                              std::string address);
  Task<Outcome<std::monostate>> log_out(net::Worker& worker, Account account, std::string token);
  // Whose token it is.
  Task<Outcome<Account>> authenticate(net::Worker& worker, std::string token);

  Task<Outcome<OpenedChannel>> open_channel(net::Worker& worker, Account caller,
                                            std::string peer_key);
  Task<Outcome<Sent>> send(net::Worker& worker, Account caller, SendRequest request);
  // Each by itself and in order; on_batch_enqueue gets those that were stored.
  Task<std::vector<Outcome<Sent>>> send_batch(net::Worker& worker, Account caller,
                                              std::vector<SendRequest> requests);
  // Pushes to who waits, then on_message_sent. Worker thread.
  void announce(net::Worker& worker, const std::vector<Sent>& sent);

  // Waits until there is something, the time is over, or the bell was closed.
  Task<Outcome<std::vector<StoredMessage>>> fetch(net::Worker& worker, Account caller,
                                                  FetchRequest request, std::shared_ptr<Bell> bell);
  Task<Outcome<Mailbox>> peek(net::Worker& worker, Account caller);
  Task<Outcome<std::uint64_t>> acknowledge(net::Worker& worker, Account caller,
                                           std::uint64_t up_to);

 private:
  class Draft;

  struct CachedSession {
    Session session;
    Account account;  // id 0: logged out
  };

  void tend(net::Worker& worker);
  // Drops what is older than the retention allows.
  Task<> expire(net::Worker& worker, Busy busy);
  Outcome<void> check_registration(const std::string& username, const std::string& password,
                                   const std::string& address);
  Outcome<void> limit(RateLimiter& limiter, const std::string& key, std::uint32_t count);
  void tell_auth(net::Worker& worker, const std::string& username, std::string_view failure);
  Task<Outcome<Channel>> channel_for(net::Worker& worker, Account caller, std::string channel_id);
  Task<Outcome<Channel>> check_recipient(net::Worker& worker, Account caller,
                                         std::string channel_id, std::string recipient_key);
  Outcome<void> check_message(const SendRequest& request) const;
  Task<Outcome<Sent>> send_draft(net::Worker& worker, Account caller, std::shared_ptr<Draft> draft);
  Task<Outcome<void>> ask(net::Worker& worker, extension::HookMoment moment,
                          std::shared_ptr<Draft> draft);
  std::string repeat_key(const Account& caller, const std::string& client_message_id) const;

  const config::Messaging settings_;
  const extension::MessageHooks& hooks_;
  Log& log_;
  RateLimiter message_rate_;
  RateLimiter address_rate_;
  services::LoginGuard guard_;
  Cache<CachedSession> sessions_;
  Cache<Account> accounts_;  // by identity key
  Cache<Channel> channels_;
  Repeats repeats_;
  Hub hub_;
  std::shared_ptr<metrics::Counter> sent_;
  std::shared_ptr<metrics::Counter> blocked_;
  std::shared_ptr<metrics::Counter> delivered_;
  std::shared_ptr<metrics::Counter> acknowledged_;
  std::shared_ptr<metrics::Counter> logins_failed_;
  std::shared_ptr<metrics::Counter> limited_;
  std::atomic<int> busy_ = 0;
  net::Worker* tending_ = nullptr;
  net::Timer tend_timer_;  // of that worker
  std::unique_ptr<Storage> storage_;
  Passwords passwords_;  // its threads end first
};

}  // namespace heddle::messaging
