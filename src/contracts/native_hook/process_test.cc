// A plugin in a child process: what the process adds, and plugins that fail.
#include <gmock/gmock.h>
#include <sys/wait.h>

#include <cerrno>

#include "contracts/native_hook/testing.h"

namespace heddle::native_hook {
namespace {

using testing::HasSubstr;

class ProcessTest : public HookTest {
 protected:
  void start() { HookTest::start("recorder", Where::kProcess); }
  // A machine under load starts a process slowly; calls that wait for one must not give up.
  void start_patiently() {
    spec_.timeout = std::chrono::seconds(30);
    start();
  }
  // Until a child runs again: before that messages pass without being asked about.
  bool answers_again() {
    for (int i = 0; i < 1'000; ++i) {
      if (!ask(7).allowed) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
};

TEST_F(ProcessTest, ACrashCostsThatCallOnly) {
  start_patiently();
  EXPECT_TRUE(ask(66).allowed) << "it fails open";
  EXPECT_TRUE(ask(5).allowed);
  EXPECT_EQ(told(), "message sealed=0 keys=1 channel=1 length=5 seq=1;") << "a fresh child";
  EXPECT_EQ(plugin_->stats().errors, 1U);
  EXPECT_THAT(plugin_->stats().last_error,
              HasSubstr("was killed by signal 6 (Aborted) during on_message_enqueue"));
  EXPECT_EQ(counter("heddle_plugin_restarts_total"), 1U);
}

TEST_F(ProcessTest, FailsClosedWhenToldTo) {
  spec_.on_failure_given = true;
  spec_.on_failure = extension::FailurePolicy::kClosed;
  start();
  const auto verdict = ask(66);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.reason, "the plugin failed");
  EXPECT_EQ(verdict.plugin, "hook");
}

TEST_F(ProcessTest, AnEndlessLoopIsStopped) {
  start();
  EXPECT_TRUE(ask(67).allowed);
  EXPECT_TRUE(answers_again());
  EXPECT_TRUE(logs("on_message_enqueue took longer than its time"));
  EXPECT_GE(counter("heddle_plugin_limit_hits_total"), 1U);
}

// Sanitizers reserve terabytes of addresses, so that no child starts under a limit of them.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
TEST_F(ProcessTest, MemoryEndsAtItsLimit) {
  spec_.memory_limit_given = true;
  start_patiently();
  EXPECT_TRUE(ask(68).allowed);
  EXPECT_TRUE(answers_again());
  EXPECT_THAT(plugin_->stats().last_error, HasSubstr("(Aborted)"));
}
#endif

TEST_F(ProcessTest, PausesBetweenRestartsAndRecovers) {
  start_patiently();
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(ask(66).allowed);
    EXPECT_TRUE(answers_again());
  }
  EXPECT_EQ(counter("heddle_plugin_restarts_total"), 3U);
  EXPECT_GE(plugin_->stats().errors, 3U);
}

TEST_F(ProcessTest, ManyCallsAtOnceAndTheOnesBehindACrashAreMade) {
  constexpr int kCalls = 300;
  start_patiently();
  const auto crash = message(66);
  const auto reject = message(7);
  std::promise<void> done;
  int verdicts = 0;
  int rejected = 0;
  worker_->post([&] {
    for (int i = 0; i < kCalls; ++i) {
      chain_->ask(extension::HookMoment::kEnqueue, *worker_, i == 10 ? crash : reject,
                  [&](const extension::Verdict& given) {
                    rejected += given.allowed ? 0 : 1;
                    if (++verdicts == kCalls) done.set_value();
                  });
    }
  });
  done.get_future().get();
  EXPECT_EQ(rejected, kCalls - 1);
}

TEST_F(ProcessTest, WhatItPrintsIsItsLog) {
  notes_ends_ = false;
  start();
  drop();
  EXPECT_TRUE(logs("on_shutdown"));
  EXPECT_TRUE(logs("destroy"));
  EXPECT_TRUE(logs("\"plugin\":\"hook\""));
}

TEST_F(ProcessTest, LeavesNoProcessBehind) {
  start();
  EXPECT_GT(plugin_->stats().memory_bytes, 0U);
  EXPECT_EQ(plugin_->stats().instances, 1U);
  drop();
  EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1);
  EXPECT_EQ(errno, ECHILD);
}

TEST_F(ProcessTest, ACrashAtTheStartIsARefusal) {
  EXPECT_THAT(refusal("aborts_at_start", Where::kProcess),
              HasSubstr("its child process was killed by signal 6 (Aborted) while the plugin was "
                        "loaded"));
}

TEST_F(ProcessTest, RefusesAsTheServerDoes) {
  EXPECT_THAT(refusal("other_symbol", Where::kProcess), HasSubstr("exports no qpc_plugin_init"));
  EXPECT_THAT(refusal("unresolved", Where::kProcess),
              HasSubstr("undefined symbol: nobody_has_this"));
}

TEST_F(ProcessTest, WithoutTheProgramItIsRefused) {
  contract_ = std::make_unique<Contract>(Dependencies{
      .engine = *engine_, .log = *log_, .metrics = metrics_, .child_program = "/nonexistent"});
  EXPECT_THAT(refusal("recorder", Where::kProcess),
              HasSubstr("/nonexistent cannot be started: No such file or directory"));
}

}  // namespace
}  // namespace heddle::native_hook
