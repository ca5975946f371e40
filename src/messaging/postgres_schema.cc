#include "messaging/postgres_schema.h"

#include <fmt/format.h>
#include <sodium.h>

#include <array>
#include <string_view>

#include "services/crypto.h"
#include "services/postgres_values.h"

namespace heddle::messaging {
namespace {

constexpr std::string_view kVersion = "1";
constexpr std::size_t kSecretBytes = 32;

// A mailbox keeps its last number for ever, so that acknowledged numbers are never given again.
// Rows of mailboxes change with every message: room in their pages keeps the index as it is.
constexpr const char* kTables = R"sql(
CREATE TABLE heddle_messages.meta(name text PRIMARY KEY, value text NOT NULL);
CREATE TABLE heddle_messages.accounts(
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, username text COLLATE "C" NOT NULL UNIQUE,
  password_hash text NOT NULL, identity_key bytea NOT NULL UNIQUE,
  created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE heddle_messages.sessions(
  token_hash bytea PRIMARY KEY, account bigint NOT NULL, expires_at bigint NOT NULL);
CREATE INDEX sessions_by_end ON heddle_messages.sessions(expires_at);
CREATE TABLE heddle_messages.channels(
  number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id bytea NOT NULL UNIQUE,
  low bytea NOT NULL, high bytea NOT NULL, UNIQUE(low, high));
CREATE TABLE heddle_messages.mailboxes(
  recipient bytea PRIMARY KEY, last_seq bigint NOT NULL DEFAULT 0,
  messages bigint NOT NULL DEFAULT 0, bytes bigint NOT NULL DEFAULT 0) WITH (fillfactor = 50);
CREATE TABLE heddle_messages.messages(
  recipient bytea NOT NULL, seq bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY,
  channel bigint NOT NULL, sender bytea NOT NULL, encrypted boolean NOT NULL, body bytea NOT NULL,
  files bytea NOT NULL, sent_at bigint NOT NULL, PRIMARY KEY(recipient, seq));
CREATE INDEX messages_by_time ON heddle_messages.messages(sent_at);
CREATE TABLE heddle_messages.repeats(
  repeat_key bytea PRIMARY KEY, message bigint NOT NULL, seq bigint NOT NULL,
  sent_at bigint NOT NULL);
CREATE INDEX repeats_by_time ON heddle_messages.repeats(sent_at);
)sql";

// Each statement of a function sees what others have committed until then, which one statement with
// several parts would not. None raises for what may happen: it would undo the writes of others.
constexpr const char* kFunctions = R"sql(
CREATE FUNCTION heddle_messages.create_account(
  the_name text, the_hash text, the_key bytea, OUT made bigint, OUT name_taken boolean)
LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO heddle_messages.accounts(username, password_hash, identity_key)
    VALUES (the_name, the_hash, the_key) ON CONFLICT DO NOTHING RETURNING id INTO made;
  name_taken := made IS NULL AND
    EXISTS (SELECT FROM heddle_messages.accounts WHERE username = the_name);
END $$;

CREATE FUNCTION heddle_messages.open_channel(
  new_id bytea, the_low bytea, the_high bytea,
  OUT the_number bigint, OUT the_id bytea, OUT was_new boolean)
LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO heddle_messages.channels(id, low, high) VALUES (new_id, the_low, the_high)
    ON CONFLICT (low, high) DO NOTHING RETURNING number, id INTO the_number, the_id;
  was_new := the_number IS NOT NULL;
  IF NOT was_new THEN
    SELECT number, id INTO the_number, the_id FROM heddle_messages.channels
      WHERE low = the_low AND high = the_high;
  END IF;
END $$;

-- The row of the mailbox is locked first and until the end of the transaction: numbers are seen in
-- their order, and no other server stores between.
CREATE FUNCTION heddle_messages.store(
  the_recipient bytea, the_seq bigint, the_channel bigint, the_sender bytea, is_encrypted boolean,
  the_body bytea, the_files bytea, the_time bigint, the_repeat_key bytea,
  most_messages bigint, most_bytes bigint,
  OUT outcome text, OUT the_id bigint, OUT stored_seq bigint, OUT waiting bigint)
LANGUAGE plpgsql AS $$ DECLARE
  box heddle_messages.mailboxes;
  size bigint := octet_length(the_body) + octet_length(the_files);
BEGIN
  INSERT INTO heddle_messages.mailboxes(recipient) VALUES (the_recipient) ON CONFLICT DO NOTHING;
  SELECT * INTO box FROM heddle_messages.mailboxes WHERE recipient = the_recipient FOR UPDATE;
  IF the_repeat_key IS NOT NULL THEN
    SELECT message, seq INTO the_id, stored_seq FROM heddle_messages.repeats
      WHERE repeat_key = the_repeat_key;
    IF FOUND THEN outcome := 'repeated'; RETURN; END IF;
  END IF;
  IF the_seq <> box.last_seq + 1 THEN outcome := 'late'; RETURN; END IF;
  IF most_messages > 0 AND box.messages >= most_messages THEN
    outcome := 'messages'; waiting := box.messages; RETURN;
  END IF;
  IF most_bytes > 0 AND box.bytes + size > most_bytes THEN
    outcome := 'bytes'; waiting := box.bytes; RETURN;
  END IF;
  INSERT INTO heddle_messages.messages(
      recipient, seq, channel, sender, encrypted, body, files, sent_at)
    VALUES (the_recipient, the_seq, the_channel, the_sender, is_encrypted, the_body, the_files,
      the_time) RETURNING id INTO the_id;
  UPDATE heddle_messages.mailboxes SET last_seq = the_seq, messages = messages + 1,
    bytes = bytes + size WHERE recipient = the_recipient;
  IF the_repeat_key IS NOT NULL THEN
    INSERT INTO heddle_messages.repeats VALUES (the_repeat_key, the_id, the_seq, the_time);
  END IF;
  outcome := 'stored'; stored_seq := the_seq;
END $$;

CREATE FUNCTION heddle_messages.acknowledge(
  the_recipient bytea, up_to bigint, OUT gone bigint)
LANGUAGE plpgsql AS $$ DECLARE
  gone_bytes bigint;
BEGIN
  PERFORM FROM heddle_messages.mailboxes WHERE recipient = the_recipient FOR UPDATE;
  WITH dropped AS (DELETE FROM heddle_messages.messages
      WHERE recipient = the_recipient AND seq <= up_to
      RETURNING octet_length(body) + octet_length(files) AS size)
    SELECT count(*), coalesce(sum(size), 0) INTO gone, gone_bytes FROM dropped;
  IF gone > 0 THEN
    UPDATE heddle_messages.mailboxes SET messages = messages - gone, bytes = bytes - gone_bytes
      WHERE recipient = the_recipient;
  END IF;
END $$;

-- A part of it, so that it stays below the time limit of a statement.
CREATE FUNCTION heddle_messages.expire(
  before bigint, the_now bigint, at_most bigint, OUT gone bigint, OUT more boolean)
LANGUAGE plpgsql AS $$ DECLARE
  repeats_gone bigint;
BEGIN
  PERFORM FROM heddle_messages.mailboxes WHERE recipient IN (
      SELECT m.recipient FROM heddle_messages.messages m WHERE m.sent_at < before
        ORDER BY m.sent_at LIMIT at_most)
    ORDER BY recipient FOR UPDATE;
  WITH old AS MATERIALIZED (
    SELECT m.recipient, m.seq FROM heddle_messages.messages m WHERE m.sent_at < before
      ORDER BY m.sent_at LIMIT at_most
  ), dropped AS (
    DELETE FROM heddle_messages.messages m USING old
      WHERE m.recipient = old.recipient AND m.seq = old.seq
      RETURNING m.recipient, octet_length(m.body) + octet_length(m.files) AS size
  ), sums AS (
    SELECT recipient, count(*) AS messages, sum(size)::bigint AS bytes FROM dropped GROUP BY recipient
  ), counted AS (
    UPDATE heddle_messages.mailboxes b SET messages = b.messages - sums.messages,
      bytes = b.bytes - sums.bytes FROM sums WHERE b.recipient = sums.recipient
  )
  SELECT coalesce(sum(messages), 0)::bigint INTO gone FROM sums;
  DELETE FROM heddle_messages.repeats WHERE repeat_key IN (
    SELECT r.repeat_key FROM heddle_messages.repeats r WHERE r.sent_at < before LIMIT at_most);
  GET DIAGNOSTICS repeats_gone = ROW_COUNT;
  DELETE FROM heddle_messages.sessions WHERE expires_at < the_now;
  more := gone >= at_most OR repeats_gone >= at_most;
END $$;
)sql";

Result<services::PostgresResult> execute(PGconn* connection, const std::string& statements) {
  services::PostgresResult out(PQexec(connection, statements.c_str()));
  const ExecStatusType status = PQresultStatus(out.get());
  if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return out;
  return std::unexpected(services::postgres_error(out.get(), connection));
}

// The version that is there; empty: none.
Result<std::string> version_of(PGconn* connection) {
  auto there = execute(connection, "SELECT to_regclass('heddle_messages.meta') IS NOT NULL");
  if (!there) return std::unexpected(std::move(there.error()));
  if (*PQgetvalue(there->get(), 0, 0) != 't') return std::string();
  auto row = execute(connection, "SELECT value FROM heddle_messages.meta WHERE name = 'version'");
  if (!row) return std::unexpected(std::move(row.error()));
  return PQntuples(row->get()) == 1 ? std::string(PQgetvalue(row->get(), 0, 0)) : std::string("?");
}

Result<void> check_version(const std::string& version) {
  if (version == kVersion) return {};
  return fail(ErrorKind::kConflict,
              fmt::format("its schema heddle_messages is of version {}, and this Heddle needs {}; "
                          "use the Heddle that made it, or another database",
                          version, kVersion));
}

Result<void> make_schema(PGconn* connection) {
  // Whoever made the schema for us need not allow us to make others.
  auto there = execute(connection, "SELECT to_regnamespace('heddle_messages') IS NOT NULL");
  if (!there) return std::unexpected(std::move(there.error()));
  std::string statements;
  if (*PQgetvalue(there->get(), 0, 0) != 't') statements = "CREATE SCHEMA heddle_messages;";
  std::array<unsigned char, kSecretBytes> secret{};
  randombytes_buf(secret.data(), secret.size());
  const std::string_view bytes(reinterpret_cast<const char*>(secret.data()), secret.size());
  statements +=
      fmt::format("{}{}INSERT INTO heddle_messages.meta VALUES ('version', '{}'), ('secret', '{}')",
                  kTables, kFunctions, kVersion, services::hex_of(bytes));
  auto made = execute(connection, statements);
  if (!made) return std::unexpected(std::move(made.error()));
  return {};
}

Result<void> find_or_make(PGconn* connection) {
  auto version = version_of(connection);
  if (!version) return std::unexpected(std::move(version.error()));
  return version->empty() ? make_schema(connection) : check_version(*version);
}

}  // namespace

Result<void> prepare_postgres_schema(PGconn* connection) {
  auto version = version_of(connection);
  if (!version) return std::unexpected(std::move(version.error()));
  if (!version->empty()) return check_version(*version);
  // Goes with the connection. Before the transaction: within it what others made is not yet seen.
  auto begun = execute(connection, "SELECT pg_advisory_lock(hashtext('heddle messages'))");
  if (begun) begun = execute(connection, "BEGIN");
  if (!begun) return std::unexpected(std::move(begun.error()));
  auto made = find_or_make(connection);
  auto ended = execute(connection, made ? "COMMIT" : "ROLLBACK");
  if (made && !ended) return std::unexpected(std::move(ended.error()));
  return made;
}

Result<std::string> postgres_secret(PGconn* connection) {
  auto row = execute(connection, "SELECT value FROM heddle_messages.meta WHERE name = 'secret'");
  if (!row) return std::unexpected(std::move(row.error()));
  if (PQntuples(row->get()) != 1) {
    return fail(ErrorKind::kConflict, "heddle_messages.meta has lost its row `secret`");
  }
  return std::string(PQgetvalue(row->get(), 0, 0));
}

bool postgres_syncs(PGconn* connection) {
  const auto row = execute(connection, "SELECT current_setting('fsync')::boolean");
  return !row || *PQgetvalue(row->get(), 0, 0) == 't';
}

}  // namespace heddle::messaging
