// What stands behind heddle::Reply: the way of an answer back to the guest. Any thread.
#pragma once

#include <memory>
#include <mutex>
#include <utility>

#include "extension/rpc_target.h"
#include "heddle/host.h"
#include "library/errors.h"
#include "services/pending_call.h"

namespace heddle::v1::internal {

class ReplyCore {
 public:
  using Completion = services::Completion<extension::RpcOutcome>;

  // `function` is kept until the answer comes: a coroutine's captures live in it.
  ReplyCore(std::shared_ptr<Completion> completion, std::shared_ptr<const void> function)
      : completion_(std::move(completion)), function_(std::move(function)) {}
  ~ReplyCore() {
    send(std::unexpected(
        Error{.kind = ErrorKind::kInternal, .message = "the host method gave no answer"}));
  }
  ReplyCore(const ReplyCore&) = delete;
  ReplyCore& operator=(const ReplyCore&) = delete;

  void send(const Result<Json>& answer) {
    std::shared_ptr<Completion> completion;
    {
      const std::lock_guard lock(mutex_);
      completion = std::exchange(completion_, nullptr);
    }
    if (completion) completion->finish(library::to_outcome(answer));
  }
  bool cancelled() const {
    const std::lock_guard lock(mutex_);
    return !completion_ || completion_->cancelled();
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<Completion> completion_;  // null: answered
  std::shared_ptr<const void> function_;
};

}  // namespace heddle::v1::internal
