#include "services/sql_sqlite.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#include "net/blocking_pool.h"
#include "net/timer.h"
#include "services/crypto.h"
#include "services/sqlite_connection.h"

namespace heddle::services {
namespace {

// What a statement that is over in time may still need for its answer.
constexpr std::chrono::milliseconds kGrace{100};

// The caller's. Answers it even while a function of SQLite is at work, which nothing interrupts.
class TimedCall final : public PendingCall {
 public:
  TimedCall(net::Worker& worker, const std::shared_ptr<Completion<SqlResult>>& completion,
            std::chrono::milliseconds timeout)
      : result_(completion->handle()) {
    timer_.arm(worker.timers(), timeout + kGrace, [completion] {
      completion->finish(
          fail(ErrorKind::kTimeout, "the statement took longer than its time-out (sql.timeout)"));
    });
  }

 private:
  Pending result_;
  net::Timer timer_;
};

struct Job {
  SqlRequest request;
  Nanoseconds deadline = 0;
  std::shared_ptr<Completion<SqlResult>> completion;
};

// A plugin's file, the connections to it, and the calls that wait for one. Any thread.
class PluginFile : public std::enable_shared_from_this<PluginFile> {
 public:
  PluginFile(std::string path, SqliteOptions options, net::BlockingPool& pool)
      : path_(std::move(path)), options_(std::move(options)), pool_(pool) {}

  void add(Job job) {
    const std::lock_guard lock(mutex_);
    std::erase_if(waiting_, [](const Job& each) { return each.completion->cancelled(); });
    if (running_ >= options_.connections && waiting_.size() >= options_.limits.max_waiting) {
      job.completion->finish(
          fail(ErrorKind::kLimit, fmt::format("{} calls of the plugin wait already "
                                              "(sql.max_waiting)",
                                              waiting_.size())));
      return;
    }
    waiting_.push_back(std::move(job));
    if (running_ < options_.connections) start_one();
  }

 private:
  // With mutex_ held.
  void start_one() {
    ++running_;
    pool_.submit([self = shared_from_this()] { self->run_next(); });
  }

  void run_next() {
    if (auto job = next()) job->completion->finish(answer(*job));
    const std::lock_guard lock(mutex_);
    --running_;
    // By way of the pool's queue, so that other plugins have their turn.
    if (!waiting_.empty()) start_one();
  }

  std::optional<Job> next() {
    const std::lock_guard lock(mutex_);
    while (!waiting_.empty()) {
      Job job = std::move(waiting_.front());
      waiting_.pop_front();
      if (!job.completion->cancelled()) return job;
    }
    return std::nullopt;
  }

  Result<SqlResult> answer(const Job& job) {
    if (monotonic_now() >= job.deadline) {
      return fail(ErrorKind::kTimeout,
                  "no connection to the database was free within the time-out (sql.timeout)");
    }
    auto connection = take();
    if (!connection) return std::unexpected(std::move(connection.error()));
    auto out = (*connection)->run(job.request, job.deadline, [&job] {
      return job.completion->cancelled();
    });
    // After an I/O error the file may be another one (deleted, restored): opened anew.
    if (!out && out.error().kind == ErrorKind::kIo) return out;
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(*connection));
    return out;
  }

  Result<std::unique_ptr<SqliteConnection>> take() {
    {
      const std::lock_guard lock(mutex_);
      if (!idle_.empty()) {
        auto out = std::move(idle_.back());
        idle_.pop_back();
        return out;
      }
    }
    return SqliteConnection::open(path_, options_.limits, options_.max_file_bytes);
  }

  const std::string path_;
  const SqliteOptions options_;
  net::BlockingPool& pool_;
  std::mutex mutex_;
  std::deque<Job> waiting_;
  std::size_t running_ = 0;
  std::vector<std::unique_ptr<SqliteConnection>> idle_;
};

class SqliteSql final : public Sql {
 public:
  SqliteSql(SqliteOptions options, net::BlockingPool& pool)
      : options_(std::move(options)), pool_(pool) {}

  Pending run(net::Worker& worker, SqlRequest request, Callback done) override {
    auto completion = Completion<SqlResult>::create(worker, std::move(done));
    auto timeout = options_.limits.timeout;
    if (request.timeout.count() > 0) timeout = std::min(timeout, request.timeout);
    const Nanoseconds deadline = monotonic_now() + to_nanoseconds(timeout);
    auto file = file_of(request.plugin);
    file->add({.request = std::move(request), .deadline = deadline, .completion = completion});
    return std::make_unique<TimedCall>(worker, completion, timeout);
  }

 private:
  std::shared_ptr<PluginFile> file_of(const std::string& plugin) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<PluginFile>& file = files_[plugin];
    if (!file) {
      file = std::make_shared<PluginFile>(
          fmt::format("{}/{}.db", options_.directory, plugin_file_name(plugin)), options_, pool_);
    }
    return file;
  }

  const SqliteOptions options_;
  net::BlockingPool& pool_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<PluginFile>> files_;
};

}  // namespace

std::unique_ptr<Sql> make_sqlite_sql(SqliteOptions options, net::BlockingPool& pool) {
  return std::make_unique<SqliteSql>(std::move(options), pool);
}

std::string plugin_file_name(std::string_view plugin) {
  constexpr std::size_t kLongest = 100;
  std::string out;
  for (const char c : plugin) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  if (out.size() <= kLongest) return out;
  return out.substr(0, kLongest) + "%" + hex_of(crypto_hash(HashAlgorithm::kSha256, plugin));
}

}  // namespace heddle::services
