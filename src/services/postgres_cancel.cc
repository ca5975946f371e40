#include "services/postgres_cancel.h"

#include <pthread.h>

#include <array>
#include <atomic>
#include <system_error>
#include <thread>

namespace heddle::services {
namespace {

struct CancelFree {
  void operator()(PGcancel* cancel) const { PQfreeCancel(cancel); }
};

// Of the process. Those that wait for a server that hangs end with it.
constexpr int kMaxThreads = 64;
std::atomic<int> threads = 0;

}  // namespace

struct PostgresCancel::Shared {
  std::unique_ptr<PGcancel, CancelFree> cancel;
  std::atomic<bool> under_way = false;

  void ask() {
    std::array<char, 256> ignored{};
    PQcancel(cancel.get(), ignored.data(), ignored.size());
    under_way = false;
    --threads;
  }
};

PostgresCancel::PostgresCancel(PGconn* connection) : shared_(std::make_shared<Shared>()) {
  shared_->cancel.reset(PQgetCancel(connection));
}

PostgresCancel::operator bool() const {
  return shared_->cancel != nullptr;
}

void PostgresCancel::request() {
  if (shared_->under_way.exchange(true)) return;
  const auto perhaps_next_time = [this] {
    --threads;
    shared_->under_way = false;
  };
  if (++threads > kMaxThreads) return perhaps_next_time();
  try {
    std::thread thread([shared = shared_] { shared->ask(); });
    pthread_setname_np(thread.native_handle(), "heddle-cancel");
    thread.detach();
  } catch (const std::system_error&) {
    perhaps_next_time();  // the system has no more threads
  }
}

}  // namespace heddle::services
