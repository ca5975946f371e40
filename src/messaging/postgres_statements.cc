// What the message store asks PostgreSQL; each is one statement, so that many go in one round trip.
#include <array>

#include "messaging/postgres_call.h"

namespace heddle::messaging {
namespace {

constexpr std::array<const char*, static_cast<std::size_t>(Statement::kCount)> kTexts = {
    // kCreateAccount
    "SELECT made, name_taken FROM heddle_messages.create_account($1, $2, $3)",
    // kAccountByName
    "SELECT id, username, identity_key, password_hash FROM heddle_messages.accounts "
    "WHERE username = $1",
    // kAccountByKey
    "SELECT id, username, identity_key, password_hash FROM heddle_messages.accounts "
    "WHERE identity_key = $1",
    // kAddSession
    "INSERT INTO heddle_messages.sessions VALUES ($1, $2, $3)",
    // kSession
    "SELECT a.id, a.username, a.identity_key, a.password_hash, s.expires_at "
    "FROM heddle_messages.sessions s JOIN heddle_messages.accounts a ON a.id = s.account "
    "WHERE s.token_hash = $1",
    // kRemoveSession
    "DELETE FROM heddle_messages.sessions WHERE token_hash = $1",
    // kOpenChannel
    "SELECT the_number, the_id, was_new FROM heddle_messages.open_channel($1, $2, $3)",
    // kChannel
    "SELECT number, low, high FROM heddle_messages.channels WHERE id = $1",
    // kRepeated
    "SELECT message, seq FROM heddle_messages.repeats WHERE repeat_key = $1",
    // kStore
    "SELECT outcome, the_id, stored_seq, waiting FROM heddle_messages.store("
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    // kFetch: as many as fit into $5 bytes, and at least one
    "SELECT m.id, m.seq, c.id, m.sender, m.encrypted, m.body, m.files, m.sent_at FROM ("
    "  SELECT seq, row_number() OVER (ORDER BY seq) AS place,"
    "    sum(size) OVER (ORDER BY seq) AS so_far FROM ("
    "      SELECT seq, octet_length(body) + octet_length(files) AS size FROM "
    "heddle_messages.messages"
    "      WHERE recipient = $1 AND seq > $2 AND ($3::bigint = 0 OR channel = $3)"
    "      ORDER BY seq LIMIT $4) AS waiting) AS page "
    "JOIN heddle_messages.messages m ON m.recipient = $1 AND m.seq = page.seq "
    "JOIN heddle_messages.channels c ON c.number = m.channel "
    "WHERE page.place = 1 OR page.so_far <= $5::bigint ORDER BY m.seq",
    // kPeek
    "SELECT count(*), coalesce(min(seq), 0), coalesce(max(seq), 0) "
    "FROM heddle_messages.messages WHERE recipient = $1",
    // kAcknowledge
    "SELECT gone FROM heddle_messages.acknowledge($1, $2)",
    // kExpire
    "SELECT gone, more FROM heddle_messages.expire($1, $2, $3)",
    // kTakeTurn
    "SELECT pg_try_advisory_lock($1)",
    // kLastSeq: what was committed before the turn began, as it is a statement of its own
    "SELECT last_seq FROM heddle_messages.mailboxes WHERE recipient = $1",
    // kEndTurn
    "SELECT pg_advisory_unlock($1)",
    // kFreeCommit: of a connection that is closed; the server does not notice that, and the commit
    // holds its locks until the standby has it too
    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
    "WHERE pid = $1::bigint AND wait_event = 'SyncRep'",
};

}  // namespace

const char* text_of(Statement statement) {
  return kTexts[static_cast<std::size_t>(statement)];
}

}  // namespace heddle::messaging
