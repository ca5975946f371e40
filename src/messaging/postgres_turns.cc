#include "messaging/postgres_turns.h"

#include <endian.h>
#include <pthread.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <span>
#include <utility>

namespace heddle::messaging {
namespace {

// Locks that one server holds at once: PostgreSQL keeps them all in a table of fixed size
// (max_locks_per_transaction times max_connections, 6400 by default).
constexpr std::size_t kMaxHeld = 1'000;
constexpr Nanoseconds kAskAgain = 2'000'000;

// The lock of a recipient. That two share one only makes them wait for each other.
std::int64_t lock_of(const std::string& recipient_key) {
  constexpr std::array<unsigned char, 16> kKey = {'h', 'e', 'd', 'd', 'l', 'e', ' ', 't',
                                                  'u', 'r', 'n', 's', ' ', ' ', ' ', ' '};
  std::array<unsigned char, crypto_shorthash_BYTES> hash{};
  crypto_shorthash(hash.data(), reinterpret_cast<const unsigned char*>(recipient_key.data()),
                   recipient_key.size(), kKey.data());
  std::uint64_t out = 0;
  std::memcpy(&out, hash.data(), sizeof out);
  return static_cast<std::int64_t>(le64toh(out));
}

}  // namespace

PostgresTurns::PostgresTurns(PostgresDoor& door, std::chrono::milliseconds patience)
    : door_(door), patience_(to_nanoseconds(patience)), thread_([this] { run(); }) {}

PostgresTurns::~PostgresTurns() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void PostgresTurns::begin(std::string recipient_key, Nanoseconds not_before,
                          Reply<std::uint64_t> done) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_) {
      const Nanoseconds now = monotonic_now();
      wanted_.push_back({.recipient_key = std::move(recipient_key),
                         .ask_at = std::max(now, not_before),
                         .until = now + patience_,
                         .done = std::move(done)});
      done = nullptr;
    }
  }
  if (done) return done(fail(ErrorKind::kUnavailable, "the message store is closing"));
  wake_.notify_one();
}

void PostgresTurns::end(const std::string& recipient_key) {
  {
    const std::lock_guard lock(mutex_);
    ended_.push_back(recipient_key);
  }
  wake_.notify_one();
}

void PostgresTurns::run() {
  pthread_setname_np(pthread_self(), "heddle-turns");
  Round round;
  while (wait_for_round(round)) ask(std::exchange(round, {}));
  std::vector<Wanted> left;
  {
    const std::lock_guard lock(mutex_);
    left.swap(wanted_);
  }
  for (Wanted& each : left) {
    each.done(fail(ErrorKind::kUnavailable, "the message store is closing"));
  }
}

// False: it is over.
bool PostgresTurns::wait_for_round(Round& round) {
  std::unique_lock lock(mutex_);
  for (;;) {
    if (stopping_) return false;
    round.ended.swap(ended_);
    for (const std::string& each : round.ended) held_.erase(each);
    if (take_due(round.wanted, monotonic_now()) + round.ended.size() > 0) return true;
    const Nanoseconds due = next_due();
    if (due == std::numeric_limits<Nanoseconds>::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_for(lock,
                     std::chrono::nanoseconds(std::max<Nanoseconds>(due - monotonic_now(), 0)));
    }
  }
}

std::size_t PostgresTurns::take_due(std::vector<Wanted>& due, Nanoseconds now) {
  std::vector<Wanted> later;
  for (Wanted& each : wanted_) {
    const bool is_due = each.ask_at <= now && held_.size() + due.size() < kMaxHeld;
    (is_due ? due : later).push_back(std::move(each));
  }
  wanted_ = std::move(later);
  return due.size();
}

// Without room only the end of a turn can help.
Nanoseconds PostgresTurns::next_due() const {
  Nanoseconds out = std::numeric_limits<Nanoseconds>::max();
  if (held_.size() >= kMaxHeld) return out;
  for (const Wanted& each : wanted_) out = std::min(out, each.ask_at);
  return out;
}

void PostgresTurns::ask(Round round) {
  auto results = exchange(round);
  if (results) return answer(std::move(round.wanted), *results, round.ended.size());
  // All turns end with the connection.
  session_.reset();
  held_.clear();
  for (Wanted& each : round.wanted) {
    each.done(fail(ErrorKind::kUnavailable,
                   "the message store cannot be asked for a number: " + results.error().message));
  }
}

Result<PostgresSession::Results> PostgresTurns::exchange(const Round& round) {
  if (session_ && session_->gone()) {
    session_.reset();
    held_.clear();
  }
  if (!session_) {
    auto opened = door_.open();
    if (!opened) return std::unexpected(std::move(opened.error()));
    session_ = std::move(*opened);
  }
  std::vector<PostgresCall> calls;
  calls.reserve(round.ended.size() + 2 * round.wanted.size());
  for (const std::string& each : round.ended) {
    calls.emplace_back(Statement::kEndTurn, lock_of(each));
  }
  for (const Wanted& each : round.wanted) {
    calls.emplace_back(Statement::kTakeTurn, lock_of(each.recipient_key));
    calls.emplace_back(Statement::kLastSeq, each.recipient_key);
  }
  std::vector<const PostgresCall*> pointers;
  pointers.reserve(calls.size());
  for (const PostgresCall& call : calls) pointers.push_back(&call);
  auto out = session_->run(pointers);
  if (!out) door_.lost(out.error());
  return out;
}

void PostgresTurns::answer(std::vector<Wanted> wanted, const PostgresSession::Results& results,
                           std::size_t first) {
  const Nanoseconds now = monotonic_now();
  std::vector<Wanted> later;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    Wanted& each = wanted[i];
    const PGresult* last = results[first + 2 * i + 1].get();
    if (PostgresRow(results[first + 2 * i].get(), 0).truth(0)) {
      held_.insert(each.recipient_key);
      each.done(PQntuples(last) == 0 ? 0 : PostgresRow(last, 0).count(0));
    } else if (now < each.until) {
      each.ask_at = now + kAskAgain;
      later.push_back(std::move(each));
    } else {
      each.done(fail(ErrorKind::kUnavailable,
                     "another server on this database keeps the recipient's mailbox; try again "
                     "later"));
    }
  }
  const std::lock_guard lock(mutex_);
  std::ranges::move(later, std::back_inserter(wanted_));
}

}  // namespace heddle::messaging
