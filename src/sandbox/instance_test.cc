#include "sandbox/instance.h"

#include <fstream>
#include <thread>

#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

class InstanceTest : public SandboxTest {};

std::size_t resident_pages() {
  std::ifstream statm("/proc/self/statm");
  std::size_t total = 0;
  std::size_t resident = 0;
  statm >> total >> resident;
  return resident;
}

TEST_F(InstanceTest, MemoryGrowthIsVisible) {
  struct Host {
    static std::uint32_t size(Instance& instance) {
      return static_cast<std::uint32_t>(instance.memory().size());
    }
  };
  static constexpr HostFunction kTable[] = {host_function<&Host::size>("env", "size")};
  auto instance = start(R"((module (import "env" "size" (func $size (result i32)))
    (memory (export "memory") 1)
    (func (export "run") (result i32)
      (drop (call $size)) (drop (memory.grow (i32.const 2)))
      (i32.store (i32.const 196604) (i32.const 77))
      (call $size))))",
                        kTable);
  EXPECT_EQ(instance->memory().size(), 65536U);
  EXPECT_FALSE(instance->memory().load<std::int32_t>(196604));
  EXPECT_EQ(instance->call(*instance->function<std::uint32_t()>("run")), 3U * 65536);
  EXPECT_EQ(instance->memory().load<std::int32_t>(196604), 77);
  EXPECT_FALSE(instance->memory().load<std::int32_t>(196605));
}

TEST_F(InstanceTest, NestedCallThroughTheAllocator) {
  struct Host {
    static std::int32_t text(Instance& instance, GuestPtr out) {
      EXPECT_EQ(instance.depth(), 1);
      EXPECT_EQ(instance.user<int>(), 1234);
      const auto allocate = instance.function<GuestPtr(GuestSize)>("allocate");
      const auto address = instance.call(*allocate, 5U);
      EXPECT_TRUE(address.has_value());
      const auto target = instance.memory().span(*address, 5);
      EXPECT_TRUE(target.has_value());  // beyond the first page: the allocator grew the memory
      std::ranges::copy(std::string_view("hello"), target->begin());
      instance.memory().store(out, *address);
      return 5;
    }
  };
  static constexpr HostFunction kTable[] = {host_function<&Host::text>("env", "text")};
  int user = 1234;
  user_ = &user;
  auto instance = start(R"((module (import "env" "text" (func $text (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "allocate") (param i32) (result i32)
      (drop (memory.grow (i32.const 1))) (i32.const 65600))
    (func (export "run") (result i32)
      (drop (call $text (i32.const 16)))
      (i32.load8_u (i32.add (i32.load (i32.const 16)) (i32.const 4))))))",
                        kTable);
  EXPECT_EQ(instance->call(*instance->function<std::int32_t()>("run")), 'o');
  EXPECT_EQ(instance->depth(), 0);
  EXPECT_EQ(instance->last_cost().host_calls, 1U);
  EXPECT_GT(instance->last_cost().wall.count(), 0);
}

TEST_F(InstanceTest, HostFunctionsInTheStartFunctionSeeMemory) {
  struct Host {
    static void mark(Instance& instance) {
      EXPECT_TRUE(instance.memory().store(GuestPtr{8}, std::int32_t{5}));
    }
  };
  static constexpr HostFunction kTable[] = {host_function<&Host::mark>("env", "mark")};
  auto instance = start(R"((module (import "env" "mark" (func $mark)) (memory (export "mem") 1)
    (start $mark)))",
                        kTable);
  ASSERT_NE(instance, nullptr);
  EXPECT_EQ(instance->memory().load<std::int32_t>(8), 5);
}

TEST_F(InstanceTest, WithoutMemory) {
  auto instance = start("(module)");
  EXPECT_EQ(instance->memory().size(), 0U);
  EXPECT_FALSE(instance->memory().view(0, 1));
}

// 1,000 instances in the pool's 16 slots: each starts clean, and the process does not grow.
TEST_F(InstanceTest, MemoryStaysFlatOverManyInstances) {
  const auto linked = link(R"((module (memory (export "memory") 20) (data (i32.const 8) "start")
    (table 100 funcref)
    (func (export "run") (result i32)
      (memory.fill (i32.const 1024) (i32.const 7) (i32.const 600000))
      (i32.load8_u (i32.const 900000)))))");
  ASSERT_TRUE(linked.has_value());
  const auto round = [&](int count) {
    for (int i = 0; i < count; ++i) {
      auto made = Instance::create(*linked, limits_, nullptr, nullptr);
      ASSERT_TRUE(made.has_value()) << made.error().message;
      ASSERT_EQ((*made)->memory().load<char>(2048), 0);
      ASSERT_EQ((*made)->memory().view(8, 5), "start");
      ASSERT_EQ((*made)->call(*(*made)->function<std::int32_t()>("run")), 0);
    }
  };
  round(100);
  const std::size_t before = resident_pages();
  round(900);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
  // Sanitizers keep freed memory back.
  EXPECT_LE(resident_pages(), before + before / 20);
#else
  static_cast<void>(before);
#endif
}

TEST_F(InstanceTest, TwoThreads) {
  const auto linked = link(R"((module (memory (export "memory") 1)
    (func (export "add") (param i32) (result i32)
      (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get 0)))
      (i32.load (i32.const 0)))
    (func (export "run") (loop (br 0)))))");
  ASSERT_TRUE(linked.has_value());
  limits_.timeout = std::chrono::milliseconds(500);
  const auto work = [&](std::int32_t step) {
    auto made = Instance::create(*linked, limits_, nullptr, nullptr);
    ASSERT_TRUE(made.has_value());
    const auto add = (*made)->function<std::int32_t(std::int32_t)>("add");
    std::int32_t last = 0;
    for (int i = 0; i < 20000; ++i) last = (*made)->call(*add, step).value_or(-1);
    EXPECT_EQ(last, 20000 * step);
    EXPECT_EQ(trap_of(**made).reason, TrapReason::kTimeout);
  };
  std::thread first(work, 1);
  std::thread second(work, 3);
  first.join();
  second.join();
}

TEST_F(InstanceTest, Pulley) {
  make_engine({.strategy = Strategy::kPulley, .instances = 8});
  auto instance = start(R"((module (memory (export "memory") 1)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func $spin (export "run") (loop (br 0)))))");
  ASSERT_NE(instance, nullptr);
  const auto add = instance->function<std::int32_t(std::int32_t, std::int32_t)>("add");
  EXPECT_EQ(instance->call(*add, 40, 2), 42);
  EXPECT_EQ(trap_of(*instance).reason, TrapReason::kTimeout);
}

}  // namespace
}  // namespace heddle::sandbox
