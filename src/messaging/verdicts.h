// co_await for a HookChain: goes on at once when the hooks answer at once.
#pragma once

#include <coroutine>
#include <optional>
#include <utility>

#include "extension/message_hook_chain.h"

namespace heddle::messaging {

// The event lives until the verdict is there.
class Verdicts {
 public:
  Verdicts(const extension::HookChain& chain, extension::HookMoment moment, net::Worker& worker,
           const extension::MessageEvent& event)
      : chain_(chain), moment_(moment), worker_(worker), event_(event) {}

  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> waiting) {
    waiting_ = waiting;
    chain_.ask(moment_, worker_, event_, [this](extension::Verdict verdict) {
      verdict_.emplace(std::move(verdict));
      if (suspended_) waiting_.resume();
    });
    suspended_ = !verdict_.has_value();
    return suspended_;
  }
  extension::Verdict await_resume() { return std::move(*verdict_); }

 private:
  const extension::HookChain& chain_;
  const extension::HookMoment moment_;
  net::Worker& worker_;
  const extension::MessageEvent& event_;
  std::coroutine_handle<> waiting_;
  std::optional<extension::Verdict> verdict_;
  bool suspended_ = false;
};

}  // namespace heddle::messaging
