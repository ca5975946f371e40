#include "messaging/sqlite_writer.h"

namespace heddle::messaging {

Result<void> SqliteWriter::commit(std::span<const std::unique_ptr<WriteThread::Write>> batch) {
  auto done = run(batch);
  if (done) return done;
  // The file may be another one by the next time.
  store_.reset();
  log_.error("the message store cannot write",
             {{"file", path_}, {"writes", batch.size()}, {"error", done.error().message}});
  return fail(ErrorKind::kUnavailable, "the message store cannot write: " + done.error().message);
}

Result<void> SqliteWriter::run(std::span<const std::unique_ptr<WriteThread::Write>> batch) {
  if (!store_) {
    auto opened = SqliteStore::open(path_);
    if (!opened) return std::unexpected(std::move(opened.error()));
    store_ = std::move(*opened);
  }
  auto done = store_->begin();
  for (auto write = batch.begin(); done && write != batch.end(); ++write) {
    done = store_->begin_part();
    if (!done) break;
    done = store_->end_part(static_cast<SqliteWrite&>(**write).run(*store_));
  }
  if (done) done = store_->commit();
  if (!done) store_->roll_back();
  return done;
}

}  // namespace heddle::messaging
