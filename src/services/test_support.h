// For the tests of services: a worker with its thread, and calls to a service that wait for their
// answer.
#pragma once

#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>

#include "base/result.h"
#include "net/test_worker.h"
#include "services/pending_call.h"

namespace heddle::services {

class TestWorker : public net::testing::TestWorker {
 public:
  // `start(worker, callback)` makes a call and returns its handle.
  template <typename T, typename Start>
  Result<T> wait_for(Start start) {
    std::promise<Result<T>> answered;
    Pending pending;
    on_worker([&] {
      pending = start(worker, [&](Result<T> result) { answered.set_value(std::move(result)); });
    });
    auto future = answered.get_future();
    Result<T> out = future.wait_for(std::chrono::seconds(30)) == std::future_status::ready
                        ? future.get()
                        : fail(ErrorKind::kInternal, "no answer within 30 s");
    on_worker([&] { pending.reset(); });
    return out;
  }
};

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "heddle-XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace heddle::services
