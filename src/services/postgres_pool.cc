#include "services/postgres_pool.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "net/blocking_pool.h"
#include "net/worker.h"

namespace heddle::services {
namespace {

constexpr Nanoseconds kFirstPause = 50'000'000;
constexpr Nanoseconds kLongestPause = 2'000'000'000;

}  // namespace

struct PostgresPool::Call {
  SqlRequest request;
  std::shared_ptr<Completion<SqlResult>> completion;
  net::Timer timer;
  ConnectionPtr connection;  // null: waits
};

// The caller's: cancels what runs at the server too.
class PostgresPool::Handle final : public PendingCall {
 public:
  Handle(std::weak_ptr<PostgresPool> pool, std::shared_ptr<Call> call)
      : pool_(std::move(pool)), call_(std::move(call)), result_(call_->completion->handle()) {}
  ~Handle() override {
    result_.reset();
    if (const auto pool = pool_.lock()) pool->end(call_);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

 private:
  std::weak_ptr<PostgresPool> pool_;
  std::shared_ptr<Call> call_;
  Pending result_;
};

PostgresPool::PostgresPool(std::shared_ptr<Shared> shared, net::Worker& worker, std::string plugin)
    : shared_(std::move(shared)), worker_(worker), plugin_(std::move(plugin)) {}

PostgresPool::~PostgresPool() {
  for (const auto& call : waiting_) call->timer.cancel();
  for (const auto& call : running_) {
    call->timer.cancel();
    call->connection.reset();
  }
}

Pending PostgresPool::run(SqlRequest request, Sql::Callback done) {
  const SqlLimits& limits = shared_->options.limits;
  auto call = std::make_shared<Call>();
  call->completion = Completion<SqlResult>::create(worker_, std::move(done));
  auto handle = std::make_unique<Handle>(weak_from_this(), call);
  auto timeout = limits.timeout;
  if (request.timeout.count() > 0) timeout = std::min(timeout, request.timeout);
  call->request = std::move(request);
  if (pausing()) {
    call->completion->finish(std::unexpected(*failure_));
  } else if (waiting_.size() >= limits.max_waiting) {
    call->completion->finish(fail(
        ErrorKind::kLimit,
        fmt::format("{} calls of the plugin wait already (sql.max_waiting)", waiting_.size())));
  } else {
    call->timer.arm(worker_.timers(), timeout, [this, weak = std::weak_ptr(call)] {
      if (const auto late = weak.lock()) time_out(late);
    });
    waiting_.push_back(call);
    dispatch();
  }
  return handle;
}

void PostgresPool::dispatch() {
  while (!waiting_.empty() && !idle_.empty()) {
    ConnectionPtr connection = std::move(idle_.back());
    idle_.pop_back();
    if (!connection->reusable()) continue;
    const auto call = std::move(waiting_.front());
    waiting_.pop_front();
    give_to(std::move(connection), call);
  }
  if (waiting_.empty() || connecting_ || is_full()) return;
  if (!pausing()) return connect();
  // With a connection that stands there is hope for those that wait.
  if (running_.empty()) fail_waiting();
}

void PostgresPool::give_to(ConnectionPtr connection, const std::shared_ptr<Call>& call) {
  running_.push_back(call);
  call->connection = std::move(connection);
  call->connection->run(call->request,
                        [this, weak = std::weak_ptr(call)](Result<SqlResult> result) {
                          if (const auto answered = weak.lock()) {
                            on_result(answered, std::move(result));
                          }
                        });
}

void PostgresPool::connect() {
  auto completion = Completion<PostgresHandle>::create(
      worker_, [this](Result<PostgresHandle> handle) { on_connected(std::move(handle)); });
  connecting_ = completion->handle();
  const auto timeout = static_cast<int>(shared_->options.limits.timeout.count());
  shared_->pool.submit([shared = shared_, completion, plugin = plugin_, timeout] {
    if (!completion->cancelled()) completion->finish(shared->roles.connect(plugin, timeout));
  });
}

void PostgresPool::on_connected(Result<PostgresHandle> handle) {
  connecting_.reset();
  if (handle) {
    pause_ = 0;
    failure_.reset();
    idle_.push_back(std::make_unique<PostgresConnection>(
        worker_, std::move(*handle), shared_->options.limits, [this] { on_lost(); }));
    reap_later();
    return dispatch();
  }
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  retry_at_ = monotonic_now() + pause_;
  failure_ = std::move(handle.error());
  dispatch();
}

void PostgresPool::fail_waiting() {
  for (const auto& call : std::exchange(waiting_, {})) {
    call->timer.cancel();
    call->completion->finish(std::unexpected(*failure_));
  }
}

void PostgresPool::on_result(const std::shared_ptr<Call>& call, Result<SqlResult> result) {
  std::erase(running_, call);
  call->timer.cancel();
  ConnectionPtr connection = std::move(call->connection);
  if (connection->reusable()) {
    idle_.push_back(std::move(connection));
    reap_later();
  } else if (connection->busy()) {
    abandon(std::move(connection));
  } else {
    // It may be on the stack.
    worker_.defer([gone = std::move(connection)] {});
  }
  call->completion->finish(std::move(result));
  worker_.defer([weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->dispatch();
  });
}

bool PostgresPool::is_full() const {
  return running_.size() + abandoned_.size() >= shared_->options.connections;
}

void PostgresPool::abandon(ConnectionPtr connection) {
  PostgresConnection* raw = connection.get();
  abandoned_.push_back(std::move(connection));
  raw->abandon([this, raw] {
    worker_.defer([weak = weak_from_this(), raw] {
      const auto self = weak.lock();
      if (!self) return;
      std::erase_if(self->abandoned_, [raw](const auto& each) { return each.get() == raw; });
      self->dispatch();
    });
  });
}

void PostgresPool::on_lost() {
  worker_.defer([weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    std::erase_if(self->idle_, [](const ConnectionPtr& each) { return !each->reusable(); });
  });
}

// Nobody waits for the result any more.
void PostgresPool::end(const std::shared_ptr<Call>& call) {
  call->timer.cancel();
  if (call->connection) {
    std::erase(running_, call);
    abandon(std::move(call->connection));
    dispatch();
  } else {
    std::erase(waiting_, call);
  }
}

void PostgresPool::time_out(const std::shared_ptr<Call>& call) {
  const bool waited = !call->connection;
  call->completion->finish(
      fail(ErrorKind::kTimeout,
           waited ? "no connection to the database was free within the time-out (sql.timeout)"
                  : "the statement took longer than its time-out (sql.timeout)"));
  end(call);
}

void PostgresPool::reap_later() {
  reaper_.arm(worker_.timers(), shared_->options.idle_timeout, [this] { idle_.clear(); });
}

}  // namespace heddle::services
