#include "messaging/write_thread.h"

#include <pthread.h>

#include <iterator>
#include <utility>

#include "base/clock.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kMaxWaiting = 20'000;
constexpr std::size_t kMaxBatch = 1'000;

}  // namespace

WriteThread::WriteThread(Commit commit, metrics::Registry& metrics)
    : commit_(std::move(commit)),
      commits_(metrics.counter("heddle_messaging_commits_total",
                               "Transactions of the message store that are on the disk", {})),
      writes_(metrics.counter("heddle_messaging_writes_total",
                              "Writes in those transactions: enqueues, acknowledgements, …", {})),
      failures_(metrics.counter("heddle_messaging_commit_failures_total",
                                "Transactions of the message store that failed", {})),
      duration_(metrics.histogram("heddle_messaging_commit_seconds",
                                  "How long a transaction of the message store took", {},
                                  metrics::request_bounds(), 1e-9)),
      thread_([this] { run(); }) {}

WriteThread::~WriteThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void WriteThread::add(std::unique_ptr<Write> write) {
  const char* refused = "the message store is closing";
  {
    std::unique_lock lock(mutex_);
    if (!stopping_ && waiting_.size() < kMaxWaiting) {
      waiting_.push_back(std::move(write));
      lock.unlock();
      wake_.notify_one();
      return;
    }
    if (!stopping_) refused = "too many writes wait for the message store; try again later";
  }
  const Result<void> failed = fail(ErrorKind::kUnavailable, refused);
  write->answer(failed);
}

void WriteThread::run() {
  pthread_setname_np(pthread_self(), "heddle-messages");
  for (;;) {
    std::vector<std::unique_ptr<Write>> batch;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (waiting_.empty()) return;
      if (waiting_.size() <= kMaxBatch) {
        batch.swap(waiting_);
      } else {
        const auto end = waiting_.begin() + kMaxBatch;
        batch.assign(std::make_move_iterator(waiting_.begin()), std::make_move_iterator(end));
        waiting_.erase(waiting_.begin(), end);
      }
    }
    const Nanoseconds start = monotonic_now();
    const Result<void> committed = commit_(batch);
    duration_->observe(static_cast<std::uint64_t>(monotonic_now() - start));
    if (committed) {
      commits_->add();
      writes_->add(batch.size());
    } else {
      failures_->add();
    }
    for (const auto& write : batch) write->answer(committed);
  }
}

}  // namespace heddle::messaging
