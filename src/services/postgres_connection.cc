#include "services/postgres_connection.h"

#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

#include "net/worker.h"
#include "services/sql_placeholders.h"

namespace heddle::services {
namespace {

constexpr std::size_t kValueOverhead = 16;
// How often and how many times a statement is cancelled that does not end.
constexpr std::chrono::milliseconds kCancelInterval{100};
constexpr int kMaxCancels = 100;
// What may have come of one row beyond max_bytes before it counts as too large.
constexpr std::size_t kReadAhead = std::size_t{2} << 20U;

// Statements after which a session is not as it was.
constexpr auto kLeavesTraces =
    std::to_array<std::string_view>({"SET", "RESET", "DISCARD", "LISTEN", "PREPARE", "DECLARE",
                                     "LOAD", "DO", "CALL", "BEGIN", "START TRANSACTION"});

// What words in a statement tell of it, be they in a string or a comment.
enum Meaning : unsigned {
  kTraces = 1,  // a function of settings or locks, which stay with the connection
  kTemporary = 2,
  kCreate = 4,
  kInto = 8,
  kReturning = 16,
  kWith = 32,
  kChange = 64,
};
constexpr auto kMeanings =
    std::to_array<std::pair<std::string_view, unsigned>>({{"set_config", kTraces},
                                                          {"setseed", kTraces},
                                                          {"pg_advisory_lock", kTraces},
                                                          {"pg_advisory_lock_shared", kTraces},
                                                          {"pg_try_advisory_lock", kTraces},
                                                          {"pg_try_advisory_lock_shared", kTraces},
                                                          {"temp", kTemporary},
                                                          {"temporary", kTemporary},
                                                          {"pg_temp", kTemporary},
                                                          {"create", kCreate},
                                                          {"into", kInto},
                                                          {"returning", kReturning},
                                                          {"with", kWith},
                                                          {"insert", kChange},
                                                          {"update", kChange},
                                                          {"delete", kChange},
                                                          {"merge", kChange}});

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
}

unsigned meanings_of(std::string_view statement) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) == static_cast<unsigned char>(b);
  };
  unsigned out = 0;
  for (auto at = statement.begin(); at != statement.end();) {
    const auto begin = std::find_if(at, statement.end(), is_word);
    at = std::find_if_not(begin, statement.end(), is_word);
    const std::string_view word(begin, at);
    for (const auto& [known, meaning] : kMeanings) {
      if (std::ranges::equal(word, known, same)) out |= meaning;
    }
  }
  return out;
}

// A column may be called temp.
bool leaves_traces(unsigned meanings) {
  const bool makes = (meanings & kCreate) != 0 || (meanings & (kInto | kChange)) == kInto;
  return (meanings & kTraces) != 0 || ((meanings & kTemporary) != 0 && makes);
}

// Whether a statement may both change something and return rows. If these are too many, the change
// must not stay; around any other statement a transaction would only cost time.
bool may_return_changes(unsigned meanings) {
  return (meanings & kReturning) != 0 || ((meanings & kWith) != 0 && (meanings & kChange) != 0);
}

}  // namespace

PostgresConnection::PostgresConnection(net::Worker& worker, PostgresHandle handle,
                                       const SqlLimits& limits,
                                       std::move_only_function<void()> on_lost)
    : worker_(worker), handle_(std::move(handle)), limits_(limits), on_lost_(std::move(on_lost)) {
  PQsetnonblocking(handle_.get(), 1);
  fd_ = PQsocket(handle_.get());
  watch(EPOLLIN);
}

PostgresConnection::~PostgresConnection() {
  watch(0);
}

void PostgresConnection::watch(std::uint32_t events) {
  if (watched_ == events) return;
  if (watched_ != 0) worker_.loop().remove(fd_, *this);
  watched_ = events;
  if (watched_ != 0) worker_.loop().add(fd_, watched_, *this);
}

void PostgresConnection::run(const SqlRequest& request, Done done) {
  statement_ = numbered_placeholders(request.statement);
  parameters_ = request.parameters;
  read_only_ = request.access != SqlAccess::kWrite;
  const unsigned meanings = meanings_of(statement_);
  in_transaction_ = read_only_ || may_return_changes(meanings);
  left_traces_ |= leaves_traces(meanings);
  done_ = std::move(done);
  result_ = SqlResult();
  result_bytes_ = 0;
  unparsed_bytes_ = 0;
  reusable_ = false;
  if (send(in_transaction_ ? Step::kBegin : Step::kStatement)) {
    pump();
  } else {
    give_up(postgres_error(nullptr, handle_.get()));
  }
}

bool PostgresConnection::send(Step step) {
  step_ = step;
  switch (step) {
    case Step::kBegin:
      return send_own(read_only_ ? "BEGIN READ ONLY" : "BEGIN");
    case Step::kEnd:
      return send_own(read_only_ ? "ROLLBACK" : "COMMIT");
    default:
      return send_statement();
  }
}

bool PostgresConnection::send_own(const char* statement) {
  return PQsendQueryParams(handle_.get(), statement, 0, nullptr, nullptr, nullptr, nullptr, 0) == 1;
}

bool PostgresConnection::send_statement() {
  std::vector<std::optional<std::string>> texts;
  texts.reserve(parameters_.size());
  for (const SqlValue& value : parameters_) texts.push_back(postgres_parameter(value));
  std::vector<const char*> pointers;
  pointers.reserve(texts.size());
  for (const auto& text : texts) pointers.push_back(text ? text->c_str() : nullptr);
  // This form takes exactly one statement: what an injected ';' would begin is refused.
  return PQsendQueryParams(handle_.get(), statement_.c_str(), static_cast<int>(pointers.size()),
                           nullptr, pointers.data(), nullptr, nullptr, 0) == 1 &&
         PQsetSingleRowMode(handle_.get()) == 1;
}

void PostgresConnection::on_events(std::uint32_t /*events*/) {
  const net::Worker::Scope scope(worker_);
  int waiting = 0;
  if (ioctl(fd_, FIONREAD, &waiting) == 0) unparsed_bytes_ += static_cast<std::size_t>(waiting);
  const bool stands = PQconsumeInput(handle_.get()) == 1;
  while (PGnotify* notice = PQnotifies(handle_.get())) PQfreemem(notice);
  if (step_ != Step::kIdle) {
    if (stands) {
      pump();
    } else if (abandoned_) {
      end_abandoned();
    } else {
      give_up(postgres_error(nullptr, handle_.get()));
    }
  } else if (!stands || PQstatus(handle_.get()) != CONNECTION_OK) {
    reusable_ = false;
    watch(0);
    on_lost_();
  }
}

// Sends what is left to send, takes what came.
void PostgresConnection::pump() {
  const int unsent = PQflush(handle_.get());
  if (unsent < 0) {
    return abandoned_ ? end_abandoned() : give_up(postgres_error(nullptr, handle_.get()));
  }
  watch(unsent > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN);
  while (PQisBusy(handle_.get()) == 0) {
    unparsed_bytes_ = 0;
    const PostgresResult result(PQgetResult(handle_.get()));
    if (!result) return step_is_over();
    if (!take(result.get())) return abandoned_ ? end_abandoned() : finish();
  }
  if (!abandoned_ && unparsed_bytes_ > limits_.max_bytes + kReadAhead) {
    give_up({ErrorKind::kLimit,
             fmt::format("a row of the result is larger than {} bytes (sql.max_bytes)",
                         limits_.max_bytes)});
  }
}

bool PostgresConnection::take(const PGresult* result) {
  const ExecStatusType status = PQresultStatus(result);
  const bool copies =
      status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
  if (abandoned_) return !copies;
  switch (status) {
    case PGRES_COMMAND_OK:
      note_command(result);
      return true;
    case PGRES_TUPLES_OK:
      note_command(result);
      return take_rows(result);
    case PGRES_SINGLE_TUPLE:
      return take_rows(result);
    case PGRES_COPY_IN:
    case PGRES_COPY_OUT:
    case PGRES_COPY_BOTH:
      result_ = fail(ErrorKind::kPermission, "COPY to or from the client is not offered");
      copies_ = true;
      return false;
    case PGRES_EMPTY_QUERY:
      result_ = fail(ErrorKind::kInvalidArgument, "the statement is empty");
      return true;
    default:
      if (result_) result_ = std::unexpected(postgres_error(result, handle_.get()));
      return PQstatus(handle_.get()) == CONNECTION_OK;
  }
}

// What the statement was, and how many rows it changed.
void PostgresConnection::note_command(const PGresult* result) {
  if (step_ != Step::kStatement || !result_) return;
  auto* mutable_result = const_cast<PGresult*>(result);  // libpq only reads it
  const std::string_view command(PQcmdStatus(mutable_result));
  if (std::ranges::any_of(kLeavesTraces,
                          [command](std::string_view each) { return command.starts_with(each); })) {
    left_traces_ = true;
  }
  if (!command.starts_with("SELECT")) {
    result_->affected = std::strtoll(PQcmdTuples(mutable_result), nullptr, 10);
  }
}

bool PostgresConnection::take_rows(const PGresult* result) {
  if (step_ != Step::kStatement || !result_) return true;
  const int columns = PQnfields(result);
  if (result_->columns.empty()) {
    for (int i = 0; i < columns; ++i) result_->columns.emplace_back(PQfname(result, i));
  }
  for (int row = 0; row < PQntuples(result); ++row) {
    if (result_->rows.size() == limits_.max_rows) {
      result_ = fail(ErrorKind::kLimit, fmt::format("the result has more than {} rows "
                                                    "(sql.max_rows); ask for fewer with LIMIT",
                                                    limits_.max_rows));
      return false;
    }
    auto& values = result_->rows.emplace_back();
    values.reserve(static_cast<std::size_t>(columns));
    for (int i = 0; i < columns; ++i) {
      values.push_back(postgres_value(result, row, i));
      result_bytes_ += kValueOverhead + static_cast<std::size_t>(PQgetlength(result, row, i));
    }
    if (result_bytes_ > limits_.max_bytes) {
      result_ =
          fail(ErrorKind::kLimit, fmt::format("the result is larger than {} bytes "
                                              "(sql.max_bytes); ask for fewer columns or rows",
                                              limits_.max_bytes));
      return false;
    }
  }
  return true;
}

void PostgresConnection::step_is_over() {
  if (abandoned_) return end_abandoned();
  const bool more =
      (step_ == Step::kBegin && result_) || (step_ == Step::kStatement && in_transaction_);
  if (!more) return finish();
  if (!send(step_ == Step::kBegin ? Step::kStatement : Step::kEnd)) {
    return give_up(postgres_error(nullptr, handle_.get()));
  }
  pump();
}

void PostgresConnection::give_up(Error error) {
  // A failure that is known already explains more than the end that followed it.
  if (result_) result_ = std::unexpected(std::move(error));
  finish();
}

void PostgresConnection::finish() {
  const PGTransactionStatusType status = PQtransactionStatus(handle_.get());
  const bool stands = PQstatus(handle_.get()) == CONNECTION_OK;
  if (result_ && (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)) {
    result_ = fail(ErrorKind::kPermission,
                   "BEGIN has no effect beyond one call; every statement is a transaction of its "
                   "own");
  }
  reusable_ = stands && status == PQTRANS_IDLE && !left_traces_;
  const bool goes_on = stands && status == PQTRANS_ACTIVE && !copies_;
  if (!goes_on) step_ = Step::kIdle;
  watch(reusable_ || goes_on ? EPOLLIN : 0);
  parameters_.clear();
  Done done = std::move(done_);
  done(std::move(result_));
}

void PostgresConnection::abandon(std::move_only_function<void()> ended) {
  abandoned_ = true;
  reusable_ = false;
  done_ = nullptr;
  result_ = SqlResult();
  on_lost_ = std::move(ended);
  cancel_.emplace(handle_.get());
  cancel_at_server();
}

void PostgresConnection::end_abandoned() {
  cancel_timer_.cancel();
  step_ = Step::kIdle;
  watch(0);
  on_lost_();
}

// What runs goes on at the server otherwise, however this connection ends.
void PostgresConnection::cancel_at_server() {
  if (!*cancel_ || ++cancels_ > kMaxCancels) return end_abandoned();
  cancel_timer_.arm(worker_.timers(), kCancelInterval, [this] { cancel_at_server(); });
  cancel_->request();
}

}  // namespace heddle::services
