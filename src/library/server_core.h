// What stands behind heddle::Server: a cli::Server on a control thread of its own. Any thread.
#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "cli/server.h"
#include "extension/foreign_functions.h"
#include "heddle/server.h"

namespace heddle::v1::internal {

class ServerCore {
 public:
  static Result<std::shared_ptr<ServerCore>> start(const std::string& config_file,
                                                   ServerOptions options);
  explicit ServerCore(ServerOptions options);
  ~ServerCore() { stop(); }
  ServerCore(const ServerCore&) = delete;
  ServerCore& operator=(const ServerCore&) = delete;

  Result<void> reload();
  void stop();

 private:
  using Started = std::promise<Result<void>>;

  void run(const std::string& config_file, Started started);
  void serve(cli::Server& server, Started started);

  ServerOptions options_;
  extension::ForeignFunctions foreign_functions_;
  std::mutex mutex_;
  cli::Server* server_ = nullptr;  // guarded by mutex_; null: it does not serve
  std::mutex join_mutex_;
  std::thread thread_;  // guarded by join_mutex_
};

}  // namespace heddle::v1::internal
