#include "messaging/postgres_session.h"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "services/postgres_open.h"

namespace heddle::messaging {
namespace {

using services::PostgresResult;

// The server ends a statement that takes too long; one that says nothing for this much longer has
// gone.
constexpr std::chrono::milliseconds kGrace{2'000};
constexpr std::string_view kReadOnly = "25006";  // read_only_sql_transaction

std::string name_of(Statement statement) {
  return fmt::format("s{}", static_cast<int>(statement));
}

}  // namespace

Result<services::PostgresHandle> PostgresSession::connect(const Target& target) {
  auto out = services::open_postgres(target.url, {},
                                     {{"connect_timeout", "5"},
                                      {"application_name", "heddle messages"},
                                      {"target_session_attrs", "read-write"},
                                      {"keepalives_idle", "10"},
                                      {"keepalives_interval", "5"},
                                      {"keepalives_count", "3"},
                                      {"tcp_user_timeout", "20000"}});
  if (!out) return out;
  // Whatever the defaults of server, database and user are: a commit is on the disk.
  const std::string settings = fmt::format(
      "SET statement_timeout = {0}; SET idle_in_transaction_session_timeout = {0}; "
      "SET default_transaction_isolation = 'read committed'; SET client_encoding = 'UTF8'; "
      "SET search_path = pg_catalog; SELECT set_config('synchronous_commit', 'on', false) "
      "WHERE current_setting('synchronous_commit') = 'off'",
      target.timeout.count());
  const PostgresResult done(PQexec(out->get(), settings.c_str()));
  if (PQresultStatus(done.get()) == PGRES_TUPLES_OK) return out;
  return std::unexpected(services::postgres_error(done.get(), out->get()));
}

Result<std::unique_ptr<PostgresSession>> PostgresSession::open(const Target& target) {
  auto handle = connect(target);
  if (!handle) return std::unexpected(std::move(handle.error()));
  std::unique_ptr<PostgresSession> out(new PostgresSession(std::move(*handle), target.timeout));
  if (auto prepared = out->prepare(); !prepared)
    return std::unexpected(std::move(prepared.error()));
  return out;
}

PostgresSession::PostgresSession(services::PostgresHandle handle, std::chrono::milliseconds timeout)
    : handle_(std::move(handle)), timeout_(timeout) {
  PQsetNoticeReceiver(handle_.get(), &PostgresSession::on_notice, this);
}

void PostgresSession::on_notice(void* self, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity == nullptr || std::string_view(severity) != "WARNING") return;
  const char* words = PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY);
  static_cast<PostgresSession*>(self)->warning_ = services::postgres_words(words);
}

Result<void> PostgresSession::prepare() {
  for (int i = 0; i < static_cast<int>(Statement::kCount); ++i) {
    const auto statement = static_cast<Statement>(i);
    const PostgresResult done(
        PQprepare(handle_.get(), name_of(statement).c_str(), text_of(statement), 0, nullptr));
    if (PQresultStatus(done.get()) != PGRES_COMMAND_OK) {
      return std::unexpected(services::postgres_error(done.get(), handle_.get()));
    }
  }
  if (PQsetnonblocking(handle_.get(), 1) == 0 && PQenterPipelineMode(handle_.get()) == 1) return {};
  return std::unexpected(services::postgres_error(nullptr, handle_.get()));
}

bool PostgresSession::send(const char* statement) {
  return PQsendQueryParams(handle_.get(), statement, 0, nullptr, nullptr, nullptr, nullptr, 1) == 1;
}

bool PostgresSession::send(const PostgresCall& call) {
  const auto& parameters = call.parameters();
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(parameters.size(), 1);
  for (const auto& each : parameters) {
    values.push_back(each ? each->data() : nullptr);
    lengths.push_back(each ? static_cast<int>(each->size()) : 0);
  }
  return PQsendQueryPrepared(handle_.get(), name_of(call.statement()).c_str(),
                             static_cast<int>(values.size()), values.data(), lengths.data(),
                             formats.data(), 1) == 1;
}

Result<PostgresSession::Results> PostgresSession::run(std::span<const PostgresCall* const> calls) {
  bool sent = true;
  for (const PostgresCall* call : calls) sent = sent && send(*call);
  if (!sent || PQpipelineSync(handle_.get()) != 1) {
    return std::unexpected(break_off(PQerrorMessage(handle_.get())));
  }
  return receive();
}

Result<PostgresSession::Results> PostgresSession::commit(
    std::span<const PostgresCall* const> calls) {
  warning_.clear();
  bool sent = send("BEGIN");
  for (const PostgresCall* call : calls) sent = sent && send(*call);
  if (!sent || !send("COMMIT") || PQpipelineSync(handle_.get()) != 1) {
    return std::unexpected(break_off(PQerrorMessage(handle_.get())));
  }
  auto out = receive();
  if (!out) {
    if (!broken_ && PQtransactionStatus(handle_.get()) != PQTRANS_IDLE &&
        (!send("ROLLBACK") || PQpipelineSync(handle_.get()) != 1 || !receive())) {
      break_off("ROLLBACK failed");
    }
    return out;
  }
  // Such as: a standby that must have the commit too did not answer in time.
  if (!warning_.empty()) {
    broken_ = true;
    return fail(ErrorKind::kUnavailable,
                fmt::format("a commit may not be safe ({})", std::exchange(warning_, {})));
  }
  out->pop_back();
  out->erase(out->begin());
  return out;
}

Result<PostgresResult> PostgresSession::run(const PostgresCall& call) {
  const std::array<const PostgresCall*, 1> calls = {&call};
  auto out = run(calls);
  if (!out) return std::unexpected(std::move(out.error()));
  return std::move(out->front());
}

// Everything up to the end of the pipeline.
Result<PostgresSession::Results> PostgresSession::receive() {
  Result<Results> out;
  int nothing = 0;  // between two results there is one
  for (;;) {
    if (auto waited = wait(); !waited) return std::unexpected(std::move(waited.error()));
    PostgresResult result(PQgetResult(handle_.get()));
    nothing = result ? 0 : nothing + 1;
    if (PQstatus(handle_.get()) != CONNECTION_OK || nothing > 1) {
      return std::unexpected(break_off(PQerrorMessage(handle_.get())));
    }
    switch (PQresultStatus(result.get())) {
      case PGRES_PIPELINE_SYNC:
        return out;
      case PGRES_COMMAND_OK:
      case PGRES_TUPLES_OK:
        if (out) out->push_back(std::move(result));
        break;
      case PGRES_PIPELINE_ABORTED:
        break;
      default:
        if (result) note(result.get(), out);
    }
  }
}

void PostgresSession::note(const PGresult* failed, Result<Results>& out) {
  if (!out) return;
  Error error = services::postgres_error(failed, handle_.get());
  if (error.kind == ErrorKind::kTimeout) {
    error.message =
        fmt::format("a statement took longer than {} ms (storage.timeout)", timeout_.count());
  }
  if (services::postgres_state(failed) == kReadOnly) broken_ = true;
  out = std::unexpected(std::move(error));
}

// Until the next result is there.
Result<void> PostgresSession::wait() {
  for (;;) {
    const int unsent = PQflush(handle_.get());
    if (unsent < 0) return std::unexpected(break_off(PQerrorMessage(handle_.get())));
    if (PQisBusy(handle_.get()) == 0) return {};
    pollfd socket{.fd = PQsocket(handle_.get()),
                  .events = static_cast<short>(unsent > 0 ? POLLIN | POLLOUT : POLLIN),
                  .revents = 0};
    const int ready = poll(&socket, 1, static_cast<int>((timeout_ + kGrace).count()));
    if (ready == 0) {
      return std::unexpected(
          break_off(fmt::format("the server said nothing for {} ms", (timeout_ + kGrace).count())));
    }
    if (ready < 0 && errno != EINTR) return std::unexpected(break_off("poll failed"));
    if (PQconsumeInput(handle_.get()) != 1) {
      return std::unexpected(break_off(PQerrorMessage(handle_.get())));
    }
  }
}

bool PostgresSession::gone() {
  pollfd socket{.fd = PQsocket(handle_.get()), .events = POLLIN, .revents = 0};
  // What comes without having been asked for: notices, and the server's last words.
  while (!broken_ && poll(&socket, 1, 0) > 0) broken_ = PQconsumeInput(handle_.get()) != 1;
  return broken_;
}

Error PostgresSession::break_off(const std::string& words) {
  broken_ = true;
  return {ErrorKind::kUnavailable, fmt::format("the connection to the database broke ({})",
                                               services::postgres_words(words.c_str()))};
}

}  // namespace heddle::messaging
