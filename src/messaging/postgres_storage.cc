#include "messaging/postgres_storage.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "messaging/lanes.h"
#include "messaging/postgres_door.h"
#include "messaging/postgres_rows.h"
#include "messaging/postgres_schema.h"
#include "messaging/postgres_turns.h"
#include "messaging/postgres_writer.h"
#include "messaging/readers.h"
#include "messaging/write_thread.h"
#include "services/postgres_open.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kReaders = 4;
constexpr std::int64_t kExpiredAtOnce = 10'000;

std::int64_t bigint(std::uint64_t value) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::int64_t>::max();
  return static_cast<std::int64_t>(std::min(value, kMost));
}

std::optional<std::string> unless_empty(std::string value) {
  return value.empty() ? std::nullopt : std::optional(std::move(value));
}

class PostgresStorage final : public Storage {
 public:
  PostgresStorage(const PostgresSession::Target& target, const Quota& quota, std::string secret,
                  Log& log, metrics::Registry& metrics)
      : quota_(quota),
        secret_(std::move(secret)),
        door_(target, log),
        turns_(door_, target.timeout),
        log_(log),
        readers_(
            kReaders, [this] { return door_.open(); },
            [this](const Error& error) { door_.lost(error); }),
        writer_([writer = PostgresWriter(door_, log)](
                    auto batch) mutable { return writer.commit(batch); },
                metrics),
        lanes_(std::make_shared<Lanes>(Lanes::Store{
            .begin_turn =
                [this](std::string recipient, Nanoseconds not_before, Reply<std::uint64_t> done) {
                  turns_.begin(std::move(recipient), not_before, std::move(done));
                },
            .store = [this](
                         NewMessage message, std::uint64_t seq,
                         Reply<Receipt> done) { store(std::move(message), seq, std::move(done)); },
            .end_turn = [this](const std::string& recipient) { turns_.end(recipient); }})) {}

  void create_account(Account account, Reply<Account> done) override {
    PostgresCall call(Statement::kCreateAccount, account.username, account.password_hash,
                      account.identity_key);
    write<Account>(
        std::move(call), {},
        [a = std::move(account)](const PGresult* result) mutable {
          return made_account(result, std::move(a));
        },
        std::move(done));
  }
  void account_by_name(std::string username, Reply<Account> done) override {
    read<Account>(PostgresCall(Statement::kAccountByName, std::move(username)), account_of,
                  std::move(done));
  }
  void account_by_key(std::string key, Reply<Account> done) override {
    read<Account>(PostgresCall(Statement::kAccountByKey, std::move(key)), account_of,
                  std::move(done));
  }
  void add_session(Session session, Reply<std::monostate> done) override {
    write<std::monostate>(PostgresCall(Statement::kAddSession, std::move(session.token_hash),
                                       bigint(session.account), session.expires_at),
                          {}, nothing_of, std::move(done));
  }
  void session(std::string token_hash, Reply<LoggedIn> done) override {
    PostgresCall call(Statement::kSession, token_hash);
    read<LoggedIn>(
        std::move(call),
        [h = std::move(token_hash)](const PGresult* result) { return logged_in_of(result, h); },
        std::move(done));
  }
  void remove_session(std::string token_hash, Reply<std::monostate> done) override {
    write<std::monostate>(PostgresCall(Statement::kRemoveSession, std::move(token_hash)), {},
                          nothing_of, std::move(done));
  }
  void open_channel(std::string id, std::string one, std::string other,
                    Reply<OpenedChannel> done) override {
    if (other < one) one.swap(other);
    PostgresCall call(Statement::kOpenChannel, std::move(id), one, other);
    write<OpenedChannel>(
        std::move(call), {},
        [low = std::move(one), high = std::move(other)](const PGresult* result) {
          return opened_channel_of(result, low, high);
        },
        std::move(done));
  }
  void channel(std::string id, Reply<Channel> done) override {
    PostgresCall call(Statement::kChannel, id);
    read<Channel>(
        std::move(call),
        [i = std::move(id)](const PGresult* result) { return channel_of(result, i); },
        std::move(done));
  }
  void repeated(std::string key, Reply<std::optional<Receipt>> done) override {
    read<std::optional<Receipt>>(PostgresCall(Statement::kRepeated, std::move(key)), repeated_of,
                                 std::move(done));
  }
  void reserve(std::string recipient, Reply<std::unique_ptr<Reservation>> done) override {
    lanes_->reserve(std::move(recipient), std::move(done));
  }
  void fetch(Fetch fetch, Reply<std::vector<StoredMessage>> done) override {
    read<std::vector<StoredMessage>>(
        PostgresCall(Statement::kFetch, std::move(fetch.recipient_key), bigint(fetch.after),
                     bigint(fetch.channel), bigint(fetch.limit), bigint(fetch.max_bytes)),
        messages_of, std::move(done));
  }
  void peek(std::string recipient, Reply<Mailbox> done) override {
    read<Mailbox>(PostgresCall(Statement::kPeek, std::move(recipient)), mailbox_of,
                  std::move(done));
  }
  void acknowledge(std::string recipient, std::uint64_t up_to, Reply<std::uint64_t> done) override {
    PostgresCall call(Statement::kAcknowledge, recipient, bigint(up_to));
    write<std::uint64_t>(std::move(call), std::move(recipient), count_of, std::move(done));
  }
  void expire(std::int64_t sent_before, std::int64_t now, Reply<std::uint64_t> done) override {
    expire_on(sent_before, now, 0, std::move(done));
  }
  const std::string& secret() const override { return secret_; }

 private:
  void store(NewMessage message, std::uint64_t seq, Reply<Receipt> done) {
    std::string recipient = message.recipient_key;
    PostgresCall call(Statement::kStore, std::move(message.recipient_key), bigint(seq),
                      bigint(message.channel), std::move(message.sender_key), message.encrypted,
                      std::move(message.body), files_json(message.files), message.sent_at,
                      unless_empty(std::move(message.repeat_key)), bigint(quota_.messages),
                      bigint(quota_.bytes));
    write<Receipt>(std::move(call), std::move(recipient), receipt_of, std::move(done));
  }

  // Part by part, until nothing old is left.
  void expire_on(std::int64_t sent_before, std::int64_t now, std::uint64_t before,
                 Reply<std::uint64_t> done) {
    write<Expired>(
        PostgresCall(Statement::kExpire, sent_before, now, kExpiredAtOnce), {}, expired_of,
        [this, sent_before, now, before, answer = std::move(done)](Result<Expired> part) mutable {
          if (!part) return answer(std::unexpected(std::move(part.error())));
          const std::uint64_t gone = before + part->messages;
          if (!part->more) return answer(gone);
          expire_on(sent_before, now, gone, std::move(answer));
        });
  }

  template <typename T, typename Read>
  void write(PostgresCall call, std::string recipient, Read read, Reply<T> done) {
    writer_.add(std::make_unique<PostgresWriteOf<T>>(std::move(call), std::move(recipient),
                                                     std::move(read), std::move(done)));
  }
  template <typename T, typename Read>
  void read(PostgresCall call, Read read, Reply<T> done) {
    readers_.add<T>(
        [this, c = std::move(call), r = std::move(read)](PostgresSession& session) -> Result<T> {
          auto result = session.run(c);
          if (result) return r(result->get());
          if (!session.broken()) {
            log_.warn("a read of the message store failed", {{"error", result.error().message}});
          }
          // Whatever it is, it is not what the callers of T mean by an error.
          return fail(ErrorKind::kUnavailable,
                      "the message store cannot be read: " + result.error().message);
        },
        std::move(done));
  }

  const Quota quota_;
  const std::string secret_;
  PostgresDoor door_;
  PostgresTurns turns_;
  Log& log_;
  Readers<PostgresSession> readers_;
  WriteThread writer_;  // its last writes end turns
  std::shared_ptr<Lanes> lanes_;
};

}  // namespace

Result<std::unique_ptr<Storage>> make_postgres_storage(const PostgresSession::Target& target,
                                                       const Quota& quota, Log& log,
                                                       metrics::Registry& metrics) {
  const auto named = [&](Error error) {
    return std::unexpected(
        std::move(error).within("message store " + services::postgres_place(target.url) + ": "));
  };
  auto connection = PostgresSession::connect(target);
  if (!connection) return named(std::move(connection.error()));
  if (auto made = prepare_postgres_schema(connection->get()); !made) {
    return named(std::move(made.error()));
  }
  auto secret = postgres_secret(connection->get());
  if (!secret) return named(std::move(secret.error()));
  if (!postgres_syncs(connection->get())) {
    log.warn(
        "PostgreSQL runs with fsync=off: what it has stored may be lost when its machine fails",
        {{"database", services::postgres_place(target.url)}});
  }
  return std::make_unique<PostgresStorage>(target, quota, std::move(*secret), log, metrics);
}

}  // namespace heddle::messaging
