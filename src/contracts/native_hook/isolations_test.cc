// What a plugin sees and what its verdicts do, the same wherever it runs.
#include <gmock/gmock.h>

#include "contracts/native_hook/testing.h"

namespace heddle::native_hook {
namespace {

using extension::HookMoment;
using testing::HasSubstr;

class IsolationTest : public HookTest, public testing::WithParamInterface<Where> {
 protected:
  void start() { HookTest::start("recorder", GetParam()); }
};

INSTANTIATE_TEST_SUITE_P(All, IsolationTest,
                         testing::Values(Where::kServer, Where::kProcess, Where::kSandbox),
                         [](const auto& each) -> std::string {
                           return each.param == Where::kServer    ? "Server"
                                  : each.param == Where::kProcess ? "Process"
                                                                  : "Sandbox";
                         });

TEST_P(IsolationTest, AMessageThatMayGoOn) {
  start();
  EXPECT_TRUE(ask(message(5, 12)).allowed);
  EXPECT_EQ(told(), "message sealed=0 keys=1 channel=1 length=5 seq=12;");
}

TEST_P(IsolationTest, ASealedSenderIsNull) {
  start();
  auto sealed = message(5, 18'446'744'073'709'551'615U);
  sealed.sender_identity = {};
  EXPECT_TRUE(ask(sealed).allowed);
  EXPECT_EQ(told(), "message sealed=1 keys=1 channel=1 length=5 seq=18446744073709551615;");
}

TEST_P(IsolationTest, EveryValueButZeroRejects) {
  start();
  const auto verdict = ask(7);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.reason, "seven");
  EXPECT_EQ(verdict.plugin, "hook");
}

TEST_P(IsolationTest, ARejectionWithoutAReasonGetsOne) {
  start();
  const auto verdict = ask(8);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.reason, kNoReason);
}

TEST_P(IsolationTest, EveryEvent) {
  start();
  const std::vector<extension::MessageEvent> batch = {message(1, 4), message(2, 5)};
  tell(extension::BatchEvent{batch});
  tell(extension::AuthEvent{"alice", true, ""});
  tell(extension::AuthEvent{"bob", false, "wrong password"});
  tell(extension::ChannelEvent{channel_, sender_, recipient_, true});
  tell(extension::ChannelEvent{channel_, sender_, recipient_, false});
  tell(extension::FetchEvent{recipient_, channel_, 3});
  tell(extension::FetchEvent{recipient_, {}, 0});
  tell(extension::UserEvent{"carol", sender_});
  EXPECT_EQ(told(),
            "batch 2;seq 4 sender=1;seq 5 sender=1;auth alice/5 1 /0;auth bob/3 0 wrong "
            "password/14;channel 1 1 1 new=1;channel 1 1 1 new=0;fetch 1 channel=c 3;"
            "fetch 1 channel=none 0;user carol/5 key=1;");
}

TEST_P(IsolationTest, AnEmptyBatchAndALongName) {
  start();
  tell(extension::BatchEvent{});
  const std::string name(300, 'n');
  tell(extension::UserEvent{name, sender_});
  EXPECT_EQ(told(), "batch 0;user " + name + "/300 key=1;");
}

TEST_P(IsolationTest, WantsWhatItsTableHas) {
  start();
  EXPECT_TRUE(hook_->wants(HookMoment::kEnqueue));
  EXPECT_TRUE(hook_->wants(HookMoment::kFetch));
  EXPECT_FALSE(hook_->wants(HookMoment::kSend));
  EXPECT_FALSE(hook_->wants(HookMoment::kSent));
}

TEST_P(IsolationTest, AnEmptyTableDoesNothing) {
  HookTest::start("empty_table", GetParam());
  EXPECT_FALSE(hook_->wants(HookMoment::kEnqueue));
  EXPECT_FALSE(hook_->wants(HookMoment::kUser));
  EXPECT_TRUE(ask(1).allowed);
}

TEST_P(IsolationTest, ShutsDownAndIsDestroyedOnce) {
  start();
  hook_->shut_down();
  hook_->shut_down();
  drop();
  if (GetParam() == Where::kSandbox) EXPECT_TRUE(logs("destroy"));
  const std::string ends = GetParam() == Where::kSandbox ? log_text() : file("ends");
  EXPECT_EQ(ends.find("on_shutdown"), ends.rfind("on_shutdown"));
  EXPECT_NE(ends.find("on_shutdown"), std::string::npos);
  EXPECT_EQ(ends.find("destroy"), ends.rfind("destroy"));
  EXPECT_LT(ends.find("on_shutdown"), ends.find("destroy"));
}

TEST_P(IsolationTest, AReloadEndsTheOldOneInOrder) {
  start();
  auto old = plugin_;
  start();
  EXPECT_TRUE(ask(5).allowed);
  old.reset();
  EXPECT_EQ(told(), "message sealed=0 keys=1 channel=1 length=5 seq=1;");
  drop();
  if (GetParam() != Where::kSandbox) {
    EXPECT_EQ(file("ends"), "on_shutdown\ndestroy\non_shutdown\ndestroy\n");
  }
}

TEST_P(IsolationTest, RefusesWhatInitRefuses) {
  EXPECT_THAT(refusal("returns_three", GetParam()), HasSubstr("qpc_plugin_init returned 3"));
}

TEST_P(IsolationTest, RefusesALongerTable) {
  EXPECT_THAT(refusal("longer_table", GetParam()), HasSubstr("a longer table"));
}

TEST_P(IsolationTest, CountsItsCalls) {
  start();
  ask(5);
  tell(extension::UserEvent{"carol", sender_});
  ask(5);  // a child process makes them in turn
  EXPECT_EQ(plugin_->stats().calls, 3U);
  EXPECT_EQ(plugin_->stats().errors, 0U);
}

}  // namespace
}  // namespace heddle::native_hook
