#include "extension/message_hook_chain.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace heddle::extension {
namespace {

// Of hooks that answer at once.
class Nobody final : public VerdictReceiver {
 public:
  void on_verdict(Verdict /*verdict*/) override {}
};

}  // namespace

HookChain::HookChain(std::vector<std::shared_ptr<MessageHook>> hooks) : hooks_(std::move(hooks)) {
  std::ranges::sort(hooks_, [](const auto& a, const auto& b) {
    return std::tie(a->file_name(), a->name()) < std::tie(b->file_name(), b->name());
  });
  for (std::size_t i = 0; i < kHookMoments; ++i) {
    for (const auto& hook : hooks_) {
      if (!hook->wants(static_cast<HookMoment>(i))) continue;
      by_moment_.at(i).in_order.push_back(hook.get());
      by_moment_.at(i).at_once &= hook->answers_at_once();
    }
  }
}

// A chain that waits for a verdict; owns itself until the last hook has answered.
class HookChain::Run final : public VerdictReceiver {
 public:
  Run(std::shared_ptr<const HookChain> chain, HookMoment moment, net::Worker& worker,
      const MessageEvent& event, std::move_only_function<void(Verdict)> done)
      : chain_(std::move(chain)),
        moment_(moment),
        worker_(worker),
        event_(event),
        done_(std::move(done)) {}

  // From the hook with this index on.
  static void go_on(std::unique_ptr<Run> run, std::size_t index) {
    const auto& hooks = run->chain_->at(run->moment_).in_order;
    while (index < hooks.size()) {
      MessageHook& hook = *hooks[index];
      run->index_ = index++;
      auto verdict = hook.ask(run->moment_, run->worker_, run->event_, *run);
      if (!verdict) {
        run.release();  // NOLINT(bugprone-unused-return-value): the hook holds the only way back
        return;
      }
      if (!verdict->allowed) return run->done_(std::move(*verdict));
    }
    run->done_({});
  }

  void on_verdict(Verdict verdict) override {
    std::unique_ptr<Run> self(this);
    if (!verdict.allowed) return done_(std::move(verdict));
    const std::size_t next = index_ + 1;
    go_on(std::move(self), next);
  }

 private:
  std::shared_ptr<const HookChain> chain_;
  HookMoment moment_;
  net::Worker& worker_;
  const MessageEvent& event_;
  std::move_only_function<void(Verdict)> done_;
  std::size_t index_ = 0;
};

void HookChain::ask(HookMoment moment, net::Worker& worker, const MessageEvent& event,
                    std::move_only_function<void(Verdict)> done) const {
  const Hooks& hooks = at(moment);
  if (hooks.at_once) {
    Nobody nobody;
    for (MessageHook* hook : hooks.in_order) {
      auto verdict = hook->ask(moment, worker, event, nobody);
      if (!verdict->allowed) return done(std::move(*verdict));
    }
    return done({});
  }
  Run::go_on(std::make_unique<Run>(shared_from_this(), moment, worker, event, std::move(done)), 0);
}

void HookChain::tell(net::Worker& worker, const HookEvent& event) const {
  for (MessageHook* hook : at(moment_of(event)).in_order) hook->tell(worker, event);
}

void HookChain::shut_down() const {
  for (const auto& hook : hooks_) hook->shut_down();
}

MessageHooks::MessageHooks()
    : current_(std::make_shared<const HookChain>(std::vector<std::shared_ptr<MessageHook>>{})) {}

std::shared_ptr<const HookChain> MessageHooks::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

void MessageHooks::publish(std::vector<std::shared_ptr<MessageHook>> hooks) {
  auto next = std::make_shared<const HookChain>(std::move(hooks));
  // The old chain may be the last owner of a plugin, whose end can take its time: it goes after the
  // lock.
  const std::lock_guard lock(mutex_);
  current_.swap(next);
}

namespace {

class RefusingHook final : public MessageHook {
 public:
  RefusingHook(std::string plugin, std::string file_name)
      : plugin_(std::move(plugin)), file_name_(std::move(file_name)) {}
  const std::string& name() const override { return plugin_; }
  const std::string& file_name() const override { return file_name_; }
  bool wants(HookMoment moment) const override { return moment == HookMoment::kSend; }
  std::optional<Verdict> ask(HookMoment /*moment*/, net::Worker& /*worker*/,
                             const MessageEvent& /*event*/,
                             VerdictReceiver& /*receiver*/) override {
    return Verdict{.allowed = false, .reason = "the plugin is not loaded", .plugin = plugin_};
  }
  bool answers_at_once() const override { return true; }
  void tell(net::Worker& /*worker*/, const HookEvent& /*event*/) override {}

 private:
  std::string plugin_;
  std::string file_name_;
};

}  // namespace

std::shared_ptr<MessageHook> make_refusing_hook(std::string plugin, std::string file_name) {
  return std::make_shared<RefusingHook>(std::move(plugin), std::move(file_name));
}

}  // namespace heddle::extension
