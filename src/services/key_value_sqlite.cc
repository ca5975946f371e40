#include "services/key_value_sqlite.h"

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "net/blocking_pool.h"
#include "services/key_value_store.h"

namespace heddle::services {
namespace {

// One call on its way. `run` keeps its answer, `answer` gives it when the transaction's end is
// known.
class Operation {
 public:
  virtual ~Operation() = default;
  // False: the file failed, so that nothing of the transaction counts.
  virtual bool run(KeyValueStore& store) = 0;
  virtual void answer(const Result<void>& committed) = 0;
};

bool is_of_the_file(const Error& error) {
  return error.kind == ErrorKind::kIo || error.kind == ErrorKind::kTimeout;
}

template <typename T>
class OperationOf final : public Operation {
 public:
  using Run = std::move_only_function<Result<T>(KeyValueStore&)>;
  OperationOf(Run run, std::shared_ptr<Completion<T>> completion)
      : run_(std::move(run)), completion_(std::move(completion)) {}

  bool run(KeyValueStore& store) override {
    result_ = run_(store);
    return result_ || !is_of_the_file(result_.error());
  }
  void answer(const Result<void>& committed) override {
    if (!committed) result_ = std::unexpected(committed.error());
    completion_->finish(std::move(result_));
  }

 private:
  Run run_;
  Result<T> result_;
  std::shared_ptr<Completion<T>> completion_;
};

// The queue, and the one task of the pool that empties it.
class Queue : public std::enable_shared_from_this<Queue> {
 public:
  Queue(std::string path, const KeyValueLimits& limits, net::BlockingPool& pool)
      : path_(std::move(path)), limits_(limits), pool_(pool) {}

  void add(std::unique_ptr<Operation> operation) {
    const std::lock_guard lock(mutex_);
    if (waiting_.size() >= kMaxWaiting) {
      const Result<void> full = fail(ErrorKind::kLimit, "too many calls to the state store wait");
      return operation->answer(full);
    }
    waiting_.push_back(std::move(operation));
    if (!std::exchange(running_, true)) start();
  }

 private:
  static constexpr std::size_t kMaxWaiting = 10'000;
  using Batch = std::vector<std::unique_ptr<Operation>>;

  void start() {
    pool_.submit([self = shared_from_this()] { self->run(); });
  }

  void run() {
    Batch batch;
    {
      const std::lock_guard lock(mutex_);
      batch.swap(waiting_);
    }
    const Result<void> committed = run_batch(batch);
    if (!committed) store_.reset();  // the file may be another one: opened anew
    for (const auto& operation : batch) operation->answer(committed);
    const std::lock_guard lock(mutex_);
    running_ = !waiting_.empty();
    if (running_) start();
  }

  Result<void> run_batch(const Batch& batch) {
    if (!store_) {
      auto opened = KeyValueStore::open(path_, limits_);
      if (!opened) return std::unexpected(std::move(opened.error()));
      store_ = std::move(*opened);
    }
    if (auto begun = store_->begin(); !begun) return begun;
    for (const auto& operation : batch) {
      if (operation->run(*store_)) continue;
      store_->roll_back();
      return fail(ErrorKind::kIo, "the file of the state store failed (" + path_ + ")");
    }
    auto committed = store_->commit();
    if (!committed) store_->roll_back();
    return committed;
  }

  const std::string path_;
  const KeyValueLimits limits_;
  net::BlockingPool& pool_;
  std::mutex mutex_;
  Batch waiting_;                         // guarded by mutex_
  bool running_ = false;                  // guarded by mutex_
  std::unique_ptr<KeyValueStore> store_;  // the running task's
};

class SqliteKeyValue final : public KeyValue {
 public:
  SqliteKeyValue(std::string path, const KeyValueLimits& limits, net::BlockingPool& pool)
      : queue_(std::make_shared<Queue>(std::move(path), limits, pool)) {}

  Pending get(net::Worker& worker, std::string plugin, std::string key,
              Completion<Value>::Callback done) override {
    return add<Value>(worker, std::move(done),
                      [p = std::move(plugin), k = std::move(key)](KeyValueStore& store) {
                        return store.get(p, k);
                      });
  }
  Pending set(net::Worker& worker, std::string plugin, std::string key, std::string value,
              Completion<Done>::Callback done) override {
    return add<Done>(worker, std::move(done),
                     [p = std::move(plugin), k = std::move(key),
                      v = std::move(value)](KeyValueStore& store) { return store.set(p, k, v); });
  }
  Pending remove(net::Worker& worker, std::string plugin, std::string key,
                 Completion<bool>::Callback done) override {
    return add<bool>(worker, std::move(done),
                     [p = std::move(plugin), k = std::move(key)](KeyValueStore& store) {
                       return store.remove(p, k);
                     });
  }
  Pending list(net::Worker& worker, std::string plugin, std::string prefix, std::string after,
               std::size_t count, Completion<Keys>::Callback done) override {
    return add<Keys>(worker, std::move(done),
                     [p = std::move(plugin), x = std::move(prefix), a = std::move(after),
                      count](KeyValueStore& store) { return store.list(p, x, a, count); });
  }
  Pending clear(net::Worker& worker, std::string plugin, Completion<Done>::Callback done) override {
    return add<Done>(worker, std::move(done),
                     [p = std::move(plugin)](KeyValueStore& store) { return store.clear(p); });
  }

 private:
  template <typename T>
  Pending add(net::Worker& worker, Completion<T>::Callback done, OperationOf<T>::Run run) {
    auto completion = Completion<T>::create(worker, std::move(done));
    queue_->add(std::make_unique<OperationOf<T>>(std::move(run), completion));
    return completion->handle();
  }

  const std::shared_ptr<Queue> queue_;
};

}  // namespace

std::unique_ptr<KeyValue> make_sqlite_key_value(std::string path, const KeyValueLimits& limits,
                                                net::BlockingPool& pool) {
  return std::make_unique<SqliteKeyValue>(std::move(path), limits, pool);
}

}  // namespace heddle::services
