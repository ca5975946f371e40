// The same source compiled to wasm32: what the sandbox adds, and hostile plugins.
#include <fmt/format.h>
#include <gmock/gmock.h>

#include "contracts/native_hook/testing.h"

namespace heddle::native_hook {
namespace {

using testing::HasSubstr;

class SandboxedTest : public HookTest {
 protected:
  void start() { HookTest::start("recorder", Where::kSandbox); }
  std::string refusal_of(const std::string& text) {
    auto module = engine_->compile(std::as_bytes(std::span(text)), "hook");
    EXPECT_TRUE(module.has_value());
    auto loaded = contract_->load(spec_, *module);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? std::string() : loaded.error().message;
  }
};

TEST_F(SandboxedTest, ACrashCostsThatCallOnly) {
  start();
  EXPECT_TRUE(ask(66).allowed) << "it fails open";
  EXPECT_TRUE(ask(5).allowed);
  EXPECT_EQ(told(), "message sealed=0 keys=1 channel=1 length=5 seq=1;") << "a fresh instance";
  EXPECT_EQ(plugin_->stats().errors, 1U);
}

TEST_F(SandboxedTest, FailsClosedWhenToldTo) {
  spec_.on_failure_given = true;
  spec_.on_failure = extension::FailurePolicy::kClosed;
  start();
  const auto verdict = ask(66);
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.reason, "the plugin failed");
}

TEST_F(SandboxedTest, AnEndlessLoopIsStopped) {
  start();
  EXPECT_TRUE(ask(67).allowed);
  EXPECT_THAT(plugin_->stats().last_error, HasSubstr("timeout"));
  EXPECT_FALSE(ask(7).allowed);
}

TEST_F(SandboxedTest, MemoryEndsAtItsLimit) {
  spec_.memory_limit_given = true;
  spec_.memory_limit = std::size_t{4} << 20U;
  spec_.timeout = std::chrono::seconds(5);
  start();
  EXPECT_TRUE(ask(68).allowed);
  EXPECT_EQ(plugin_->stats().errors, 1U);
  EXPECT_FALSE(ask(7).allowed);
}

// Fills the slot on_message_enqueue (offset 4) with table index 1.
const std::string kInit = R"((memory (export "memory") 1)
  (func (export "qpc_plugin_init") (param i32) (result i32)
    (i32.store offset=4 (local.get 0) (i32.const 1)) (i32.const 0)))";

TEST_F(SandboxedTest, WithoutATableTheFlagIsNamed) {
  EXPECT_THAT(refusal_of("(module " + kInit + ")"), HasSubstr("-Wl,--export-table"));
}

TEST_F(SandboxedTest, AnInitOfAnotherType) {
  EXPECT_THAT(refusal_of(R"((module (memory (export "memory") 1)
                (func (export "qpc_plugin_init") (result i32) (i32.const 0))))"),
              HasSubstr("qpc_plugin_init"));
}

TEST_F(SandboxedTest, SlotsThatAreNoFunctionsOfTheirType) {
  for (const std::string table :
       {R"((table (export "t") 1 funcref))", R"((table (export "t") 2 funcref))",
        R"((table (export "t") 2 funcref) (func $f (param i64)) (elem (i32.const 1) $f))"}) {
    const std::string text = fmt::format("(module {}{})", kInit, table);
    auto module = engine_->compile(std::as_bytes(std::span(text)), "hook");
    ASSERT_TRUE(module.has_value()) << module.error().message;
    auto loaded = contract_->load(spec_, *module);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    plugin_ = *loaded;
    hook_ = plugin_->message_hook();
    chain_ = std::make_shared<const extension::HookChain>(
        std::vector<std::shared_ptr<extension::MessageHook>>{hook_});
    EXPECT_TRUE(ask(5).allowed);
    EXPECT_EQ(plugin_->stats().errors, 1U) << table;
  }
}

}  // namespace
}  // namespace heddle::native_hook
