// The rows of the message store's statements (postgres_statements.cc) as what Storage promises.
#pragma once

#include <libpq-fe.h>

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "messaging/postgres_call.h"
#include "messaging/storage.h"
#include "messaging/storage_common.h"
#include "messaging/types.h"

namespace heddle::messaging {

struct Expired {
  std::uint64_t messages = 0;
  bool more = false;
};

Result<Account> made_account(const PGresult* result, Account account);
Result<Account> account_of(const PGresult* result);
Result<Storage::LoggedIn> logged_in_of(const PGresult* result, const std::string& token_hash);
Result<OpenedChannel> opened_channel_of(const PGresult* result, const std::string& low,
                                        const std::string& high);
Result<Channel> channel_of(const PGresult* result, const std::string& id);
Result<std::optional<Receipt>> repeated_of(const PGresult* result);
Result<Receipt> receipt_of(const PGresult* result);
Result<std::vector<StoredMessage>> messages_of(const PGresult* result);
Result<Mailbox> mailbox_of(const PGresult* result);
Result<std::uint64_t> count_of(const PGresult* result);
Result<Expired> expired_of(const PGresult* result);
Result<std::monostate> nothing_of(const PGresult* result);

}  // namespace heddle::messaging
