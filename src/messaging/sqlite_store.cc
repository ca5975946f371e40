#include "messaging/sqlite_store.h"

#include <fmt/format.h>
#include <sodium.h>

#include <utility>

#include "messaging/storage_common.h"

namespace heddle::messaging {
namespace {

// A mailbox keeps its last number for ever, so that acknowledged numbers are never given again.
constexpr const char* kTables = R"sql(
PRAGMA synchronous=FULL;
PRAGMA foreign_keys=OFF;
PRAGMA mmap_size=0;
CREATE TABLE IF NOT EXISTS meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS accounts(
  id INTEGER PRIMARY KEY AUTOINCREMENT, username TEXT NOT NULL UNIQUE, password_hash TEXT NOT NULL,
  identity_key BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sessions(
  token_hash BLOB PRIMARY KEY, account INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS sessions_by_end ON sessions(expires_at);
CREATE TABLE IF NOT EXISTS channels(
  number INTEGER PRIMARY KEY AUTOINCREMENT, id BLOB NOT NULL UNIQUE, low BLOB NOT NULL,
  high BLOB NOT NULL, UNIQUE(low, high));
CREATE TABLE IF NOT EXISTS mailboxes(
  recipient BLOB PRIMARY KEY, last_seq INTEGER NOT NULL, messages INTEGER NOT NULL,
  bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS messages(
  id INTEGER PRIMARY KEY AUTOINCREMENT, recipient BLOB NOT NULL, seq INTEGER NOT NULL,
  channel INTEGER NOT NULL, sender BLOB, encrypted INTEGER NOT NULL, body BLOB NOT NULL,
  files TEXT, sent_at INTEGER NOT NULL, UNIQUE(recipient, seq));
CREATE INDEX IF NOT EXISTS messages_by_time ON messages(sent_at);
CREATE TABLE IF NOT EXISTS repeats(
  repeat_key BLOB PRIMARY KEY, message INTEGER NOT NULL, seq INTEGER NOT NULL,
  sent_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS repeats_by_time ON repeats(sent_at);
)sql";

constexpr std::size_t kSecretBytes = 32;

}  // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(const std::string& path) {
  const auto named = [&](Error error) {
    return std::unexpected(std::move(error).within(fmt::format("message store {}: ", path)));
  };
  auto database = services::open_sqlite(path);
  if (!database) return named(std::move(database.error()));
  std::unique_ptr<SqliteStore> out(new SqliteStore(std::move(*database)));
  if (auto made = out->prepare_tables(); !made) return named(std::move(made.error()));
  return out;
}

Result<void> SqliteStore::prepare_tables() {
  if (auto made = services::sqlite_execute(database_.get(), kTables); !made) return made;
  return load_secret();
}

Result<void> SqliteStore::load_secret() {
  std::string fresh(kSecretBytes, '\0');
  randombytes_buf(fresh.data(), fresh.size());
  if (auto kept = run("INSERT OR IGNORE INTO meta VALUES('secret', ?)", Blob{fresh}); !kept) {
    return kept;
  }
  auto row = first_row("SELECT value FROM meta WHERE name = 'secret'");
  if (!row) return std::unexpected(std::move(row.error()));
  secret_ = (*row)->bytes(0);
  (*row)->finish();
  return {};
}

Result<Query*> SqliteStore::query(std::string_view sql) {
  auto found = queries_.find(sql);
  if (found == queries_.end()) {
    auto prepared = Query::prepare(database_.get(), sql);
    if (!prepared) return std::unexpected(std::move(prepared.error()));
    found = queries_.emplace(sql, std::move(*prepared)).first;
  }
  return &found->second;
}

template <typename... Values>
Result<void> SqliteStore::run(std::string_view sql, Values... values) {
  auto statement = query(sql);
  if (!statement) return std::unexpected(std::move(statement.error()));
  return (*statement)->with(values...).run();
}

template <typename... Values>
Result<Query*> SqliteStore::first_row(std::string_view sql, Values... values) {
  auto statement = query(sql);
  if (!statement) return statement;
  auto row = (*statement)->with(values...).step();
  if (!row) return std::unexpected(std::move(row.error()));
  return *row ? *statement : nullptr;
}

Result<void> SqliteStore::begin() {
  return run("BEGIN IMMEDIATE");
}
Result<void> SqliteStore::commit() {
  return run("COMMIT");
}
void SqliteStore::roll_back() {
  // Without a transaction there is nothing to undo, which is as good.
  static_cast<void>(services::sqlite_execute(database_.get(), "ROLLBACK"));
}
Result<void> SqliteStore::begin_part() {
  return run("SAVEPOINT part");
}
Result<void> SqliteStore::end_part(bool keep) {
  if (!keep) {
    if (auto undone = run("ROLLBACK TO part"); !undone) return undone;
  }
  return run("RELEASE part");
}

Result<Account> SqliteStore::create_account(Account account) {
  if (account_by_name(account.username)) {
    return fail(ErrorKind::kConflict, std::string(kUsernameTaken));
  }
  if (account_by_key(account.identity_key)) {
    return fail(ErrorKind::kConflict, std::string(kIdentityTaken));
  }
  auto made =
      run("INSERT INTO accounts(username, password_hash, identity_key, created_at) "
          "VALUES(?, ?, ?, unixepoch() * 1000)",
          std::string_view(account.username), std::string_view(account.password_hash),
          Blob{account.identity_key});
  if (!made) return std::unexpected(std::move(made.error()));
  account.id = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database_.get()));
  return account;
}

Result<Account> SqliteStore::account(Result<Query*> row) {
  if (!row) return std::unexpected(std::move(row.error()));
  if (*row == nullptr) return std::unexpected(no_account());
  Query& found = **row;
  Account out{.id = found.number(0),
              .username = found.bytes(1),
              .identity_key = found.bytes(2),
              .password_hash = found.bytes(3)};
  found.finish();
  return out;
}

Result<Account> SqliteStore::account_by_name(const std::string& username) {
  return account(
      first_row("SELECT id, username, identity_key, password_hash FROM accounts WHERE username = ?",
                std::string_view(username)));
}

Result<Account> SqliteStore::account_by_key(const std::string& identity_key) {
  return account(first_row(
      "SELECT id, username, identity_key, password_hash FROM accounts WHERE identity_key = ?",
      Blob{identity_key}));
}

Result<std::monostate> SqliteStore::add_session(const Session& session) {
  auto added = run("INSERT INTO sessions VALUES(?, ?, ?)", Blob{session.token_hash},
                   session.account, session.expires_at);
  if (!added) return std::unexpected(std::move(added.error()));
  return std::monostate{};
}

Result<Storage::LoggedIn> SqliteStore::session(const std::string& token_hash) {
  auto row = first_row(
      "SELECT a.id, a.username, a.identity_key, a.password_hash, s.expires_at "
      "FROM sessions s JOIN accounts a ON a.id = s.account WHERE s.token_hash = ?",
      Blob{token_hash});
  Storage::LoggedIn out;
  if (row && *row != nullptr) {
    out.session = {.token_hash = token_hash,
                   .account = (*row)->number(0),
                   .expires_at = static_cast<std::int64_t>((*row)->number(4))};
  }
  auto found = account(std::move(row));
  if (!found) return std::unexpected(std::move(found.error()));
  out.account = std::move(*found);
  return out;
}

Result<std::monostate> SqliteStore::remove_session(const std::string& token_hash) {
  auto removed = run("DELETE FROM sessions WHERE token_hash = ?", Blob{token_hash});
  if (!removed) return std::unexpected(std::move(removed.error()));
  return std::monostate{};
}

Result<OpenedChannel> SqliteStore::open_channel(const std::string& id, std::string low,
                                                std::string high) {
  auto row = first_row("SELECT number, id FROM channels WHERE low = ? AND high = ?", Blob{low},
                       Blob{high});
  if (!row) return std::unexpected(std::move(row.error()));
  OpenedChannel out;
  out.was_new = *row == nullptr;
  if (out.was_new) {
    auto made =
        run("INSERT INTO channels(id, low, high) VALUES(?, ?, ?)", Blob{id}, Blob{low}, Blob{high});
    if (!made) return std::unexpected(std::move(made.error()));
    out.channel.number = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database_.get()));
    out.channel.id = id;
  } else {
    out.channel.number = (*row)->number(0);
    out.channel.id = (*row)->bytes(1);
    (*row)->finish();
  }
  out.channel.low = std::move(low);
  out.channel.high = std::move(high);
  return out;
}

Result<Channel> SqliteStore::channel(const std::string& id) {
  auto row = first_row("SELECT number, low, high FROM channels WHERE id = ?", Blob{id});
  if (!row) return std::unexpected(std::move(row.error()));
  if (*row == nullptr) return std::unexpected(no_channel());
  Channel out{
      .number = (*row)->number(0), .id = id, .low = (*row)->bytes(1), .high = (*row)->bytes(2)};
  (*row)->finish();
  return out;
}

Result<std::uint64_t> SqliteStore::last_seq(const std::string& recipient_key) {
  auto row = first_row("SELECT last_seq FROM mailboxes WHERE recipient = ?", Blob{recipient_key});
  if (!row) return std::unexpected(std::move(row.error()));
  if (*row == nullptr) return 0;
  const std::uint64_t out = (*row)->number(0);
  (*row)->finish();
  return out;
}

Result<std::optional<Receipt>> SqliteStore::repeated(const std::string& repeat_key) {
  auto row = first_row("SELECT message, seq FROM repeats WHERE repeat_key = ?", Blob{repeat_key});
  if (!row) return std::unexpected(std::move(row.error()));
  if (*row == nullptr) return std::nullopt;
  const Receipt out{.id = (*row)->number(0), .seq = (*row)->number(1), .repeated = true};
  (*row)->finish();
  return out;
}

Result<void> SqliteStore::check_quota(const NewMessage& message, std::uint64_t size,
                                      const Quota& quota) {
  auto row = first_row("SELECT messages, bytes FROM mailboxes WHERE recipient = ?",
                       Blob{message.recipient_key});
  if (!row) return std::unexpected(std::move(row.error()));
  const std::uint64_t messages = *row == nullptr ? 0 : (*row)->number(0);
  const std::uint64_t bytes = *row == nullptr ? 0 : (*row)->number(1);
  if (*row != nullptr) (*row)->finish();
  if (quota.messages > 0 && messages >= quota.messages) {
    return std::unexpected(too_many_messages(messages));
  }
  if (quota.bytes > 0 && bytes + size > quota.bytes) {
    return std::unexpected(too_many_bytes(bytes));
  }
  return {};
}

Result<Receipt> SqliteStore::store(const NewMessage& message, std::uint64_t seq,
                                   const Quota& quota) {
  if (!message.repeat_key.empty()) {
    auto earlier = repeated(message.repeat_key);
    if (!earlier) return std::unexpected(std::move(earlier.error()));
    if (*earlier) return **earlier;
  }
  auto last = last_seq(message.recipient_key);
  if (!last) return std::unexpected(std::move(last.error()));
  if (seq != *last + 1) {
    return std::unexpected(out_of_order());
  }
  const std::string files = files_json(message.files);
  const std::uint64_t size = message.body.size() + files.size();
  if (auto room = check_quota(message, size, quota); !room) {
    return std::unexpected(std::move(room.error()));
  }
  auto stored =
      run("INSERT INTO messages(recipient, seq, channel, sender, encrypted, body, files, sent_at) "
          "VALUES(?, ?, ?, ?, ?, ?, ?, ?)",
          Blob{message.recipient_key}, seq, message.channel, Blob{message.sender_key},
          message.encrypted, Blob{message.body}, std::string_view(files), message.sent_at);
  if (!stored) return std::unexpected(std::move(stored.error()));
  const Receipt out{.id = static_cast<std::uint64_t>(sqlite3_last_insert_rowid(database_.get())),
                    .seq = seq};
  auto counted =
      run("INSERT INTO mailboxes VALUES(?1, ?2, 1, ?3) ON CONFLICT(recipient) DO UPDATE SET "
          "last_seq = ?2, messages = messages + 1, bytes = bytes + ?3",
          Blob{message.recipient_key}, seq, size);
  if (counted && !message.repeat_key.empty()) {
    counted = run("INSERT INTO repeats VALUES(?, ?, ?, ?)", Blob{message.repeat_key}, out.id, seq,
                  message.sent_at);
  }
  if (!counted) return std::unexpected(std::move(counted.error()));
  return out;
}

Result<std::vector<StoredMessage>> SqliteStore::fetch(const Fetch& fetch) {
  auto row = first_row(
      "SELECT m.id, m.seq, c.id, m.sender, m.encrypted, m.body, m.files, m.sent_at "
      "FROM messages m JOIN channels c ON c.number = m.channel "
      "WHERE m.recipient = ?1 AND m.seq > ?2 AND (?3 = 0 OR m.channel = ?3) "
      "ORDER BY m.seq LIMIT ?4",
      Blob{fetch.recipient_key}, fetch.after, fetch.channel,
      static_cast<std::uint64_t>(fetch.limit));
  std::vector<StoredMessage> out;
  std::size_t bytes = 0;
  for (;;) {
    if (!row) return std::unexpected(std::move(row.error()));
    if (*row == nullptr) return out;
    Query& each = **row;
    const std::string files = each.bytes(6);
    StoredMessage message{.id = each.number(0),
                          .seq = each.number(1),
                          .channel_id = each.bytes(2),
                          .sender_key = each.bytes(3),
                          .encrypted = each.number(4) != 0,
                          .body = each.bytes(5),
                          .files = files_of(files),
                          .sent_at = static_cast<std::int64_t>(each.number(7))};
    bytes += message.body.size() + files.size();
    if (!out.empty() && bytes > fetch.max_bytes) {
      each.finish();
      return out;
    }
    out.push_back(std::move(message));
    auto more = each.step();
    if (!more) return std::unexpected(std::move(more.error()));
    if (!*more) return out;
  }
}

Result<Mailbox> SqliteStore::peek(const std::string& recipient_key) {
  auto row = first_row(
      "SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) FROM messages "
      "WHERE recipient = ?",
      Blob{recipient_key});
  if (!row) return std::unexpected(std::move(row.error()));
  const Mailbox out{
      .count = (*row)->number(0), .first_seq = (*row)->number(1), .last_seq = (*row)->number(2)};
  (*row)->finish();
  return out;
}

Result<std::uint64_t> SqliteStore::acknowledge(const std::string& recipient_key,
                                               std::uint64_t up_to) {
  auto row = first_row(
      "SELECT count(*), coalesce(sum(length(body) + coalesce(length(CAST(files AS BLOB)), 0)), 0) "
      "FROM messages "
      "WHERE recipient = ? AND seq <= ?",
      Blob{recipient_key}, up_to);
  if (!row) return std::unexpected(std::move(row.error()));
  const std::uint64_t messages = (*row)->number(0);
  const std::uint64_t bytes = (*row)->number(1);
  (*row)->finish();
  if (messages == 0) return 0;
  auto dropped =
      run("DELETE FROM messages WHERE recipient = ? AND seq <= ?", Blob{recipient_key}, up_to);
  if (dropped) {
    dropped =
        run("UPDATE mailboxes SET messages = messages - ?, bytes = max(0, bytes - ?) "
            "WHERE recipient = ?",
            messages, bytes, Blob{recipient_key});
  }
  if (!dropped) return std::unexpected(std::move(dropped.error()));
  return messages;
}

Result<std::uint64_t> SqliteStore::expire(std::int64_t sent_before, std::int64_t now) {
  auto done =
      run("UPDATE mailboxes SET messages = messages - old.n, bytes = max(0, bytes - old.b) FROM "
          "(SELECT recipient AS r, count(*) AS n, "
          "sum(length(body) + coalesce(length(CAST(files AS BLOB)), 0)) AS b FROM messages "
          "WHERE sent_at < ? GROUP BY recipient) AS old WHERE recipient = old.r",
          sent_before);
  if (done) done = run("DELETE FROM messages WHERE sent_at < ?", sent_before);
  if (!done) return std::unexpected(std::move(done.error()));
  const auto dropped = static_cast<std::uint64_t>(sqlite3_changes64(database_.get()));
  done = run("DELETE FROM repeats WHERE sent_at < ?", sent_before);
  if (done) done = run("DELETE FROM sessions WHERE expires_at < ?", now);
  if (!done) return std::unexpected(std::move(done.error()));
  return dropped;
}

}  // namespace heddle::messaging
