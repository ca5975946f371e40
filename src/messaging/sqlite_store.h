// The tables of the message service in one SQLite connection: what is asked and written, without
// threads. Writes belong between begin() and commit(). One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "messaging/sqlite_query.h"
#include "messaging/storage.h"
#include "messaging/types.h"
#include "services/sqlite_handle.h"

namespace heddle::messaging {

class SqliteStore {
 public:
  // Makes the file and its tables where they are missing. The error names the file.
  static Result<std::unique_ptr<SqliteStore>> open(const std::string& path);

  static bool gone() { return false; }
  // Whether it is of the file, which may be another one when it is opened again.
  static bool broken_by(const Error& error) {
    return error.kind == ErrorKind::kIo || error.kind == ErrorKind::kTimeout;
  }

  Result<void> begin();
  Result<void> commit();
  void roll_back();
  // One write among those of a transaction: what failed in it leaves nothing, the others go on.
  Result<void> begin_part();
  Result<void> end_part(bool keep);

  Result<Account> create_account(Account account);
  Result<Account> account_by_name(const std::string& username);
  Result<Account> account_by_key(const std::string& identity_key);
  Result<std::monostate> add_session(const Session& session);
  Result<Storage::LoggedIn> session(const std::string& token_hash);
  Result<std::monostate> remove_session(const std::string& token_hash);
  Result<OpenedChannel> open_channel(const std::string& id, std::string low, std::string high);
  Result<Channel> channel(const std::string& id);

  Result<std::uint64_t> last_seq(const std::string& recipient_key);
  Result<std::optional<Receipt>> repeated(const std::string& repeat_key);
  // `seq` must follow the recipient's last one; kUnavailable otherwise.
  Result<Receipt> store(const NewMessage& message, std::uint64_t seq, const Quota& quota);
  Result<std::vector<StoredMessage>> fetch(const Fetch& fetch);
  Result<Mailbox> peek(const std::string& recipient_key);
  Result<std::uint64_t> acknowledge(const std::string& recipient_key, std::uint64_t up_to);
  Result<std::uint64_t> expire(std::int64_t sent_before, std::int64_t now);

  const std::string& secret() const { return secret_; }

 private:
  explicit SqliteStore(services::SqliteDatabase database) : database_(std::move(database)) {}
  Result<void> prepare_tables();
  Result<void> load_secret();
  // The statement of this text, prepared at its first use; texts are literals.
  Result<Query*> query(std::string_view sql);
  template <typename... Values>
  Result<void> run(std::string_view sql, Values... values);
  template <typename... Values>
  Result<Query*> first_row(std::string_view sql, Values... values);  // null: no row
  Result<Account> account(Result<Query*> row);
  Result<void> check_quota(const NewMessage& message, std::uint64_t size, const Quota& quota);

  services::SqliteDatabase database_;
  std::map<std::string_view, Query> queries_;  // go before the database
  std::string secret_;
};

}  // namespace heddle::messaging
