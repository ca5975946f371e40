#include "messaging/postgres_rows.h"

#include <utility>

namespace heddle::messaging {

Result<Account> made_account(const PGresult* result, Account account) {
  const PostgresRow row(result, 0);
  if (row.is_null(0)) {
    return fail(ErrorKind::kConflict, std::string(row.truth(1) ? kUsernameTaken : kIdentityTaken));
  }
  account.id = row.count(0);
  return account;
}

Result<Account> account_of(const PGresult* result) {
  if (PQntuples(result) == 0) return std::unexpected(no_account());
  const PostgresRow row(result, 0);
  return Account{.id = row.count(0),
                 .username = row.bytes(1),
                 .identity_key = row.bytes(2),
                 .password_hash = row.bytes(3)};
}

Result<Storage::LoggedIn> logged_in_of(const PGresult* result, const std::string& token_hash) {
  auto account = account_of(result);
  if (!account) return std::unexpected(std::move(account.error()));
  const std::int64_t end = PostgresRow(result, 0).number(4);
  return Storage::LoggedIn{
      .session = {.token_hash = token_hash, .account = account->id, .expires_at = end},
      .account = std::move(*account)};
}

Result<OpenedChannel> opened_channel_of(const PGresult* result, const std::string& low,
                                        const std::string& high) {
  const PostgresRow row(result, 0);
  return OpenedChannel{
      .channel = {.number = row.count(0), .id = row.bytes(1), .low = low, .high = high},
      .was_new = row.truth(2)};
}

Result<Channel> channel_of(const PGresult* result, const std::string& id) {
  if (PQntuples(result) == 0) return std::unexpected(no_channel());
  const PostgresRow row(result, 0);
  return Channel{.number = row.count(0), .id = id, .low = row.bytes(1), .high = row.bytes(2)};
}

Result<std::optional<Receipt>> repeated_of(const PGresult* result) {
  if (PQntuples(result) == 0) return std::nullopt;
  const PostgresRow row(result, 0);
  return Receipt{.id = row.count(0), .seq = row.count(1), .repeated = true};
}

Result<Receipt> receipt_of(const PGresult* result) {
  const PostgresRow row(result, 0);
  const std::string outcome = row.bytes(0);
  if (outcome == "messages") return std::unexpected(too_many_messages(row.count(3)));
  if (outcome == "bytes") return std::unexpected(too_many_bytes(row.count(3)));
  if (outcome == "late") return std::unexpected(out_of_order());
  return Receipt{.id = row.count(1), .seq = row.count(2), .repeated = outcome == "repeated"};
}

Result<std::vector<StoredMessage>> messages_of(const PGresult* result) {
  std::vector<StoredMessage> out;
  for (int i = 0; i < PQntuples(result); ++i) {
    const PostgresRow row(result, i);
    out.push_back({.id = row.count(0),
                   .seq = row.count(1),
                   .channel_id = row.bytes(2),
                   .sender_key = row.bytes(3),
                   .encrypted = row.truth(4),
                   .body = row.bytes(5),
                   .files = files_of(row.bytes(6)),
                   .sent_at = row.number(7)});
  }
  return out;
}

Result<Mailbox> mailbox_of(const PGresult* result) {
  const PostgresRow row(result, 0);
  return Mailbox{.count = row.count(0), .first_seq = row.count(1), .last_seq = row.count(2)};
}

Result<std::uint64_t> count_of(const PGresult* result) {
  return PostgresRow(result, 0).count(0);
}

Result<Expired> expired_of(const PGresult* result) {
  const PostgresRow row(result, 0);
  return Expired{.messages = row.count(0), .more = row.truth(1)};
}

Result<std::monostate> nothing_of(const PGresult* /*result*/) {
  return std::monostate{};
}

}  // namespace heddle::messaging
