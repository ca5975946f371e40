// Every limit of a guest: what ends it, and what its operator is told.
#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

using namespace std::chrono_literals;

std::int32_t ping(Instance& /*instance*/, std::int32_t value) {
  return value + 1;
}
constexpr HostFunction kPing[] = {host_function<&ping>("env", "ping")};

class LimitsTest : public SandboxTest {};

TEST_F(LimitsTest, EndlessLoop) {
  limits_.timeout = 20ms;
  auto instance = start("(module (func $spin (export \"run\") (loop (br 0))))");
  const Trap trap = trap_of(*instance);
  EXPECT_EQ(trap.reason, TrapReason::kTimeout);
  EXPECT_EQ(trap.message, "time limit of 20 ms reached (timeout)");
  EXPECT_EQ(trap.function, "run");
  EXPECT_TRUE(trap.backtrace.starts_with("spin @0x")) << trap.backtrace;
  EXPECT_TRUE(instance->dead());
  EXPECT_GE(instance->last_cost().wall, 20ms);
  EXPECT_LE(instance->last_cost().cpu, instance->last_cost().wall);
  EXPECT_TRUE(trap_of(*instance).message.contains("trapped before"));
}

TEST_F(LimitsTest, EndlessLoopInStart) {
  limits_.timeout = 10ms;
  const auto made = instantiate("(module (func $spin (loop (br 0))) (start $spin))");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, ErrorKind::kTrap);
  EXPECT_TRUE(made.error().message.contains("time limit of 10 ms reached (timeout); in spin"))
      << made.error().message;
}

TEST_F(LimitsTest, EndlessLoopAfterTheTickerFellAsleep) {
  limits_.timeout = 10ms;
  auto first = start("(module (func (export \"run\") (loop (br 0))))");
  auto second = start("(module (func (export \"run\") (loop (br 0))))");
  EXPECT_EQ(trap_of(*first).reason, TrapReason::kTimeout);
  std::this_thread::sleep_for(
      300ms);  // more than the ticker's idle time; the test holds either way
  EXPECT_EQ(trap_of(*second).reason, TrapReason::kTimeout);
}

TEST_F(LimitsTest, CallsBelowTheTimeLimitEnd) {
  limits_.timeout = 10s;
  auto instance = start(R"((module (func (export "run") (local $i i32)
    (loop (local.set $i (i32.add (local.get $i) (i32.const 1)))
          (br_if 0 (i32.lt_u (local.get $i) (i32.const 50000000)))))))");
  const auto run = instance->function<void()>("run");
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(instance->call(*run).has_value());
}

// One call in a few is timed: those that last are all the same, and end in time.
TEST_F(LimitsTest, TimedOneInAFew) {
  constexpr std::uint32_t kOneIn = 4;
  limits_.timeout = 100ms;
  auto instance = start(R"((module (func (export "run") (param i64) (local $i i64)
    (loop (local.set $i (i64.add (local.get $i) (i64.const 1)))
          (br_if 0 (i64.lt_u (local.get $i) (local.get 0)))))))");
  const auto run = instance->function<void(std::uint64_t)>("run");
  instance->time_one_in(kOneIn);
  std::uint32_t counted = 0;
  for (std::uint32_t i = 0; i < 3 * kOneIn; ++i) {
    ASSERT_TRUE(instance->call(*run, 1).has_value());
    const CallCost& cost = instance->last_cost();
    EXPECT_EQ(cost.stands_for, (i + 1) % kOneIn == 0 ? kOneIn : 0);
    EXPECT_EQ(cost.wall > 0ns, cost.stands_for > 0);
    counted += cost.stands_for;
  }
  EXPECT_EQ(counted, 3 * kOneIn);
  const auto begun = std::chrono::steady_clock::now();
  const auto endless = instance->call(*run, UINT64_MAX);
  ASSERT_FALSE(endless.has_value());
  EXPECT_EQ(endless.error().reason, TrapReason::kTimeout);
  EXPECT_GE(std::chrono::steady_clock::now() - begun, limits_.timeout);
  EXPECT_EQ(instance->last_cost().stands_for, 1U);
  EXPECT_GE(instance->last_cost().wall, limits_.timeout);
}

TEST_F(LimitsTest, MemoryGrowth) {
  limits_.memory = std::size_t{2} << 20U;
  auto instance = start(R"((module (memory (export "memory") 1)
    (func (export "try") (param i32) (result i32) (memory.grow (local.get 0)))
    (func $alloc (export "run")
      (if (i32.eq (memory.grow (i32.const 100)) (i32.const -1)) (then unreachable)))))");
  const auto grow = instance->function<std::int32_t(std::int32_t)>("try");
  EXPECT_EQ(instance->call(*grow, 31), 1);
  EXPECT_FALSE(instance->last_cost().denied_memory);
  EXPECT_EQ(instance->memory_bytes(), limits_.memory);
  EXPECT_EQ(instance->call(*grow, 1), -1);
  EXPECT_TRUE(instance->last_cost().denied_memory);
  EXPECT_EQ(instance->growths(), 3U);  // the first gave it its memory
  const Trap trap = trap_of(*instance);
  EXPECT_EQ(trap.reason, TrapReason::kMemoryLimit);
  EXPECT_EQ(trap.message, "memory limit of 2 MiB reached (asked for 8448 KiB)");
  EXPECT_TRUE(trap.backtrace.starts_with("alloc @")) << trap.backtrace;
}

TEST_F(LimitsTest, ADeniedGrowthIsNotBlamedForALaterCall) {
  limits_.memory = 65536;
  auto instance = start(R"((module (memory 1)
    (func (export "grow") (drop (memory.grow (i32.const 1))))
    (func (export "run") unreachable)))");
  EXPECT_TRUE(instance->call(*instance->function<void()>("grow")).has_value());
  EXPECT_EQ(trap_of(*instance).reason, TrapReason::kUnreachable);
}

TEST_F(LimitsTest, InitialMemory) {
  limits_.memory = std::size_t{1} << 20U;
  const auto made = instantiate("(module (memory 32))");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(made.error().message,
            "module test starts with 2 MiB of memory, its limit is 1 MiB (memory_limit)");
}

TEST_F(LimitsTest, TableGrowth) {
  limits_.table_elements = 100;
  const Trap trap = trap_of(R"((module (table 10 funcref)
    (func (export "run")
      (if (i32.eq (table.grow (ref.null func) (i32.const 500)) (i32.const -1)) (then unreachable)))))");
  EXPECT_EQ(trap.reason, TrapReason::kTableLimit);
  EXPECT_EQ(trap.message, "table limit of 100 elements reached (asked for 510)");
}

TEST_F(LimitsTest, InitialTable) {
  limits_.table_elements = 100;
  const auto made = instantiate("(module (table 101 funcref))");
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(made.error().message.contains("table of 101 elements")) << made.error().message;
}

TEST_F(LimitsTest, TableBeyondThePool) {
  const auto made = compile("(module (table 100001 funcref))");
  ASSERT_FALSE(made.has_value());
  EXPECT_TRUE(made.error().message.contains("100000")) << made.error().message;
}

TEST_F(LimitsTest, Recursion) {
  const Trap trap = trap_of("(module (func $f (export \"run\") (call $f)))");
  EXPECT_EQ(trap.reason, TrapReason::kStackOverflow);
  EXPECT_EQ(std::ranges::count(trap.backtrace, '\n'), 19);
}

TEST_F(LimitsTest, RecursionThroughTheHost) {
  struct Host {
    static void again(Instance& instance) {
      const auto run = instance.function<void()>("run");
      static_cast<void>(instance.call(*run));
    }
  };
  static constexpr HostFunction kTable[] = {host_function<&Host::again>("env", "again")};
  const Trap trap = trap_of(
      "(module (import \"env\" \"again\" (func $a)) (func (export \"run\") (call $a)"
      " (loop (br 0))))",
      kTable);
  EXPECT_NE(trap.reason, TrapReason::kUnreachable);
}

TEST_F(LimitsTest, HostCallFlood) {
  limits_.host_calls = 50;
  constexpr std::string_view kText = R"((module
    (import "env" "ping" (func $ping (param i32) (result i32)))
    (func (export "few") (param $n i32) (result i32)
      (loop (drop (call $ping (i32.const 1)))
            (br_if 0 (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (call $ping (i32.const 41)))
    (func $flood (export "run") (loop (drop (call $ping (i32.const 1))) (br 0)))))";
  auto instance = start(kText, kPing);
  const auto few = instance->function<std::int32_t(std::int32_t)>("few");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(instance->call(*few, 49), 42);
  EXPECT_EQ(instance->last_cost().host_calls, 50U);
  const Trap trap = trap_of(*instance);
  EXPECT_EQ(trap.reason, TrapReason::kHostCallLimit);
  EXPECT_EQ(trap.message, "limit of 50 host calls reached");
  EXPECT_TRUE(trap.backtrace.contains("flood")) << trap.backtrace;
}

TEST_F(LimitsTest, PoolOfInstances) {
  auto linked = link("(module (memory 1))");
  ASSERT_TRUE(linked.has_value());
  std::vector<std::unique_ptr<Instance>> all;
  for (int i = 0; i < 16; ++i) {
    auto made = Instance::create(*linked, limits_, nullptr, nullptr);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    all.push_back(std::move(*made));
  }
  const auto refused = Instance::create(*linked, limits_, nullptr, nullptr);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(refused.error().message.contains("all 16 instance slots are in use"))
      << refused.error().message;
  all.clear();
  EXPECT_TRUE(Instance::create(*linked, limits_, nullptr, nullptr).has_value());
}

}  // namespace
}  // namespace heddle::sandbox
