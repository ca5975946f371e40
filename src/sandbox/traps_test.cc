// Every way in which a guest call ends early: reason, message, names in the backtrace.
#include <stdexcept>

#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

void stop(Instance& instance) {
  instance.raise(TrapReason::kHost, "refused by policy");
}
void explode(Instance& /*instance*/) {
  throw std::runtime_error("no disk");
}
constexpr HostFunction kTable[] = {host_function<&stop>("env", "stop"),
                                   host_function<&explode>("env", "explode")};

class TrapsTest : public SandboxTest {};

TEST_F(TrapsTest, EachReason) {
  struct Case {
    std::string_view body;
    TrapReason reason;
    std::string_view message;
  };
  const Case cases[] = {
      {"unreachable", TrapReason::kUnreachable, "unreachable executed"},
      {"(drop (i32.load (i32.const -4)))", TrapReason::kOutOfBounds, "memory access out of bounds"},
      {"(drop (i64.load (i32.const 65532)))", TrapReason::kOutOfBounds, "memory access"},
      {"(memory.fill (i32.const 65530) (i32.const 0) (i32.const 10))", TrapReason::kOutOfBounds,
       ""},
      {"(call_indirect (i32.const 99))", TrapReason::kOutOfBounds, "table access out of bounds"},
      {"(call_indirect (i32.const 0))", TrapReason::kIndirectCall, "null table entry"},
      {"(call_indirect (param i32) (i32.const 0) (i32.const 1))", TrapReason::kIndirectCall,
       "another type"},
      {"(drop (i32.div_s (i32.const 1) (i32.const 0)))", TrapReason::kArithmetic, "by zero"},
      {"(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))", TrapReason::kArithmetic,
       "integer overflow"},
      {"(drop (i32.trunc_f32_s (f32.const nan)))", TrapReason::kArithmetic, "conversion"},
      {"(call $stop)", TrapReason::kHost, "refused by policy"},
      {"(call $explode)", TrapReason::kHost, "host function explode failed: no disk"},
      {"(call $exit (i32.const 3))", TrapReason::kExit, "exited with code 3"},
  };
  for (const Case& each : cases) {
    const std::string text = R"((module
      (import "env" "stop" (func $stop)) (import "env" "explode" (func $explode))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory 1) (table 3 funcref) (elem (i32.const 1) $inner)
      (func $inner )" + std::string(each.body) +
                             R"()
      (func (export "run") (call $inner))))";
    auto instance = start(text, kTable);
    ASSERT_NE(instance, nullptr);
    const Trap trap = trap_of(*instance);
    EXPECT_EQ(trap.reason, each.reason) << each.body << ": " << trap.message;
    EXPECT_TRUE(trap.message.contains(each.message)) << each.body << ": " << trap.message;
    EXPECT_FALSE(trap.message.contains('\n'));
    EXPECT_TRUE(trap.backtrace.starts_with("inner @0x")) << each.body << ": " << trap.backtrace;
    EXPECT_EQ(trap.function, "run");
    EXPECT_EQ(trap.exit_code, each.reason == TrapReason::kExit ? 3 : 0);
    EXPECT_TRUE(instance->dead());
    EXPECT_EQ(instance->depth(), 0);
  }
}

TEST_F(TrapsTest, NamesAreDemangled) {
  const Trap trap = trap_of(R"((module
    (func $_ZN4core9panicking5panic17h0123456789abcdefE unreachable)
    (func $_ZN7example6FilterC1Ev (call $_ZN4core9panicking5panic17h0123456789abcdefE))
    (func $_RNvC6_123foo3bar (call $_ZN7example6FilterC1Ev))
    (func (export "run") (call $_RNvC6_123foo3bar))))");
  EXPECT_TRUE(trap.backtrace.starts_with("core::panicking::panic")) << trap.backtrace;
  EXPECT_TRUE(trap.backtrace.contains("example::Filter::")) << trap.backtrace;
  EXPECT_TRUE(trap.backtrace.contains("123foo::bar")) << trap.backtrace;
  EXPECT_TRUE(trap.backtrace.contains("\nfunction 3 @")) << trap.backtrace;
}

TEST_F(TrapsTest, StartFunction) {
  const auto made = instantiate("(module (func $boom unreachable) (start $boom))");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, ErrorKind::kTrap);
  EXPECT_TRUE(made.error().message.starts_with(
      "module test trapped while it started: unreachable executed"))
      << made.error().message;
}

TEST_F(TrapsTest, DataSegmentOutOfBounds) {
  const auto made = instantiate("(module (memory 1) (data (i32.const 65535) \"ab\"))");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, ErrorKind::kTrap);
}

TEST_F(TrapsTest, CleanExitLeavesTheInstanceWhole) {
  auto instance = start(R"((module
    (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
    (func (export "run") (call $exit (i32.const 0)))
    (func (export "answer") (result i32) i32.const 42)))");
  const Trap trap = trap_of(*instance);
  EXPECT_EQ(trap.reason, TrapReason::kExit);
  EXPECT_EQ(trap.exit_code, 0);
  EXPECT_FALSE(instance->dead());
  EXPECT_EQ(instance->call(*instance->function<std::int32_t()>("answer")), 42);
}

TEST_F(TrapsTest, UncaughtException) {
  const Trap trap = trap_of("(module (tag $t) (func (export \"run\") (throw $t)))");
  EXPECT_EQ(trap.reason, TrapReason::kOther);
  EXPECT_FALSE(trap.message.empty());
}

TEST_F(TrapsTest, ANestedTrapEndsTheOuterCallToo) {
  struct Host {
    static std::int32_t fetch(Instance& instance) {
      const auto allocate = instance.function<std::int32_t(std::int32_t)>("allocate");
      const auto result = instance.call(*allocate, 8);
      EXPECT_FALSE(result.has_value());
      EXPECT_EQ(result.error().reason, TrapReason::kUnreachable);
      EXPECT_EQ(result.error().function, "allocate");
      return 7;
    }
  };
  static constexpr HostFunction kFetch[] = {host_function<&Host::fetch>("env", "fetch")};
  const Trap trap = trap_of(R"((module (import "env" "fetch" (func $fetch (result i32)))
    (func (export "allocate") (param i32) (result i32) unreachable)
    (func $outer (export "run") (drop (call $fetch)) (loop (br 0)))))",
                            kFetch);
  EXPECT_EQ(trap.reason, TrapReason::kUnreachable);
  EXPECT_EQ(trap.function, "run");
  EXPECT_TRUE(trap.backtrace.contains("outer")) << trap.backtrace;
}

TEST_F(TrapsTest, RaiseOutsideOfACallDoesNothing) {
  auto instance = start("(module (func (export \"run\")))");
  instance->raise(TrapReason::kHost, "too late");
  EXPECT_TRUE(instance->call(*instance->function<void()>("run")).has_value());
}

}  // namespace
}  // namespace heddle::sandbox
