#include "messaging/postgres_writer.h"

#include <map>
#include <optional>
#include <string_view>

namespace heddle::messaging {
namespace {

Error unavailable(const Error& error) {
  return {ErrorKind::kUnavailable, "the message store cannot write: " + error.message};
}

// Every server locks mailboxes in the same order, so that none waits for one that waits for it.
// What changes one mailbox stays in its order.
std::vector<PostgresWrite*> by_mailbox(std::span<const std::unique_ptr<WriteThread::Write>> batch) {
  std::map<std::string_view, std::vector<PostgresWrite*>> mailboxes;
  for (const auto& each : batch) {
    auto& write = static_cast<PostgresWrite&>(*each);
    mailboxes[write.recipient_key()].push_back(&write);
  }
  std::vector<PostgresWrite*> out;
  for (const auto& [recipient, writes] : mailboxes) {
    out.insert(out.end(), writes.begin(), writes.end());
  }
  return out;
}

}  // namespace

Result<void> PostgresWriter::commit(std::span<const std::unique_ptr<WriteThread::Write>> batch) {
  const std::vector<PostgresWrite*> writes = by_mailbox(batch);
  if (auto connected = connect(); !connected) {
    return std::unexpected(unavailable(connected.error()));
  }
  auto done = commit_together(writes);
  if (done) return done;
  if (session_->broken()) {
    drop(done.error());
    return std::unexpected(unavailable(done.error()));
  }
  // One write is to blame, or two servers stood in each other's way.
  log_.warn("a transaction of the message store failed; its writes are tried one by one",
            {{"writes", writes.size()}, {"error", done.error().message}});
  commit_each(writes);
  return {};
}

Result<void> PostgresWriter::connect() {
  if (session_ && !session_->gone()) return {};
  auto opened = door_.open();
  if (!opened) {
    session_.reset();
    return std::unexpected(std::move(opened.error()));
  }
  session_ = std::move(*opened);
  if (dropped_ != 0) {
    static_cast<void>(session_->run(PostgresCall(Statement::kFreeCommit, dropped_)));
    dropped_ = 0;
  }
  return {};
}

void PostgresWriter::drop(const Error& error) {
  door_.lost(error);
  dropped_ = session_->process();
  session_.reset();
}

Result<void> PostgresWriter::commit_together(std::span<PostgresWrite* const> writes) {
  std::vector<const PostgresCall*> calls;
  calls.reserve(writes.size());
  for (const PostgresWrite* each : writes) calls.push_back(&each->call());
  auto results = session_->commit(calls);
  if (!results) return std::unexpected(std::move(results.error()));
  for (std::size_t i = 0; i < writes.size(); ++i) writes[i]->take((*results)[i].get());
  return {};
}

void PostgresWriter::commit_each(std::span<PostgresWrite* const> writes) {
  std::optional<Error> end;  // of all that follow
  for (PostgresWrite* each : writes) {
    const Result<void> done = end ? std::unexpected(*end) : commit_together({&each, 1});
    if (done) continue;
    each->refuse(unavailable(done.error()));
    // What times out is not waited for one after the other.
    if (session_->broken() || done.error().kind == ErrorKind::kTimeout) end = done.error();
  }
  if (!session_->broken()) return;
  drop(*end);
}

}  // namespace heddle::messaging
