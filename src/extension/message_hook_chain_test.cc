#include "extension/message_hook_chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "base/log.h"
#include "net/worker.h"

namespace heddle::extension {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Answers as it is told, at once or when the test says so, and notes that it was called.
class TestHook final : public MessageHook {
 public:
  TestHook(std::string name, std::vector<std::string>& calls)
      : name_(std::move(name)), file_(name_ + ".wasm"), calls_(calls) {}

  const std::string& name() const override { return name_; }
  const std::string& file_name() const override { return file_; }
  bool wants(HookMoment moment) const override { return !deaf || moment != *deaf; }
  std::optional<Verdict> ask(HookMoment moment, net::Worker& /*worker*/,
                             const MessageEvent& /*event*/, VerdictReceiver& receiver) override {
    calls_.push_back(name_ + ":" + std::string(to_string(moment)));
    if (!waits) return verdict();
    waiting = &receiver;
    return std::nullopt;
  }
  bool answers_at_once() const override { return !waits; }
  void tell(net::Worker& /*worker*/, const HookEvent& event) override {
    calls_.push_back(name_ + ":" + std::string(to_string(moment_of(event))));
  }
  void shut_down() override { calls_.push_back(name_ + ":shut_down"); }

  Verdict verdict() const {
    return rejects ? Verdict{.allowed = false, .reason = "no", .plugin = name_} : Verdict{};
  }

  bool rejects = false;
  bool waits = false;
  std::optional<HookMoment> deaf;
  VerdictReceiver* waiting = nullptr;

 private:
  std::string name_;
  std::string file_;
  std::vector<std::string>& calls_;
};

class HookChainTest : public testing::Test {
 protected:
  std::shared_ptr<const HookChain> chain() {
    return std::make_shared<const HookChain>(std::vector<std::shared_ptr<MessageHook>>{c_, a_, b_});
  }
  std::optional<Verdict> ask(const HookChain& chain) {
    chain.ask(HookMoment::kSend, worker_, event_, [this](Verdict v) { got_ = std::move(v); });
    return got_;
  }

  std::unique_ptr<Log> log_ = Log::null();
  net::Worker worker_{0, *log_};
  std::vector<std::string> calls_;
  std::shared_ptr<TestHook> a_ = std::make_shared<TestHook>("a", calls_);
  std::shared_ptr<TestHook> b_ = std::make_shared<TestHook>("b", calls_);
  std::shared_ptr<TestHook> c_ = std::make_shared<TestHook>("c", calls_);
  MessageEvent event_;
  std::optional<Verdict> got_;
};

TEST_F(HookChainTest, AsksInOrderOfFileNames) {
  const auto verdict = ask(*chain());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_TRUE(verdict->allowed);
  EXPECT_THAT(calls_, ElementsAre("a:send", "b:send", "c:send"));
}

TEST_F(HookChainTest, TheFirstThatRejectsDecides) {
  b_->rejects = true;
  const auto verdict = ask(*chain());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_FALSE(verdict->allowed);
  EXPECT_EQ(verdict->plugin, "b");
  EXPECT_EQ(verdict->reason, "no");
  EXPECT_THAT(calls_, ElementsAre("a:send", "b:send"));
}

TEST_F(HookChainTest, GoesOnWhenAWaitingHookHasAnswered) {
  a_->waits = true;
  b_->waits = true;
  ask(*chain());  // the run keeps the chain
  EXPECT_FALSE(got_.has_value());
  a_->waiting->on_verdict(a_->verdict());
  EXPECT_FALSE(got_.has_value());
  b_->waiting->on_verdict(b_->verdict());
  ASSERT_TRUE(got_.has_value());
  EXPECT_TRUE(got_->allowed);
  EXPECT_THAT(calls_, ElementsAre("a:send", "b:send", "c:send"));
}

TEST_F(HookChainTest, AWaitingHookRejects) {
  a_->waits = true;
  a_->rejects = true;
  ask(*chain());
  a_->waiting->on_verdict(a_->verdict());
  ASSERT_TRUE(got_.has_value());
  EXPECT_FALSE(got_->allowed);
  EXPECT_THAT(calls_, ElementsAre("a:send"));
}

TEST_F(HookChainTest, SkipsHooksThatDoNotWantTheMoment) {
  a_->deaf = HookMoment::kSend;
  ask(*chain());
  chain()->tell(worker_, SentEvent{7});
  EXPECT_THAT(calls_, ElementsAre("b:send", "c:send", "a:sent", "b:sent", "c:sent"));
}

TEST_F(HookChainTest, AnEmptyChainAllows) {
  const MessageHooks hooks;
  EXPECT_FALSE(hooks.current()->wants(HookMoment::kSend));
  const auto verdict = ask(*hooks.current());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_TRUE(verdict->allowed);
}

TEST_F(HookChainTest, ARequestKeepsItsChain) {
  MessageHooks hooks;
  hooks.publish({a_});
  const auto before = hooks.current();
  hooks.publish({});
  before->tell(worker_, UserEvent{});
  hooks.current()->tell(worker_, UserEvent{});
  before->shut_down();
  EXPECT_THAT(calls_, ElementsAre("a:user", "a:shut_down"));
}

TEST_F(HookChainTest, APluginThatIsNotLoadedRejects) {
  MessageHooks hooks;
  hooks.publish({b_, make_refusing_hook("aa", "aa.wasm")});
  const auto verdict = ask(*hooks.current());
  ASSERT_TRUE(verdict.has_value());
  EXPECT_FALSE(verdict->allowed);
  EXPECT_EQ(verdict->plugin, "aa");
  EXPECT_THAT(calls_, IsEmpty());
}

TEST(MessageEventTest, JsonOfAMessage) {
  const std::array<std::string_view, 2> files = {"a.png", "b \"c\".txt"};
  MessageEvent event;
  event.text = "hi\n\xc3\xa4";
  event.involved_files = files;
  event.session_id = 18'446'744'073'709'551'615U;
  event.sender_id = 7;
  event.is_encrypted = true;
  EXPECT_EQ(event.json(),
            "{\"markdown_text\":\"hi\\n\xc3\xa4\",\"involved_files\":[\"a.png\",\"b "
            "\\\"c\\\".txt\"],\"session_id\":18446744073709551615,\"sender_id\":7,"
            "\"is_encrypted\":true}");
}

}  // namespace
}  // namespace heddle::extension
