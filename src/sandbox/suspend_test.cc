#include "sandbox/suspend.h"

#include <deque>
#include <list>
#include <optional>

#include "base/clock.h"
#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

using std::chrono::milliseconds;

// A loop that the test turns by hand.
class TestLoop final : public Loop {
 public:
  void post(std::move_only_function<void()> task) override { tasks_.push_back(std::move(task)); }
  bool turn() {
    if (tasks_.empty()) return false;
    auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
    return true;
  }
  std::size_t queued() const { return tasks_.size(); }

 private:
  std::deque<std::move_only_function<void()>> tasks_;
};

// What host functions reach by user<Desk>(): the answers that guests wait for.
struct Desk {
  std::list<Wait::Resume> waiting;
  int taken_back = 0;
  bool at_once = false;
  std::string seen;
};

class DeskWait final : public Wait {
 public:
  explicit DeskWait(Desk& desk) : desk_(desk) {}
  ~DeskWait() override {
    if (!done_) ++desk_.taken_back;
  }
  DeskWait(const DeskWait&) = delete;
  DeskWait& operator=(const DeskWait&) = delete;
  void start(Resume resume) override {
    if (desk_.at_once) return resume();
    desk_.waiting.push_back(std::move(resume));
  }
  void finish() { done_ = true; }

 private:
  Desk& desk_;
  bool done_ = false;
};

std::int32_t ask(Instance& instance, std::int32_t number) {
  DeskWait wait(instance.user<Desk>());
  if (!instance.wait(wait)) return -1;
  wait.finish();
  return number + 1;
}

// Waits, then puts a text where the guest's allocator says.
GuestPtr fetch(Instance& instance) {
  DeskWait wait(instance.user<Desk>());
  if (!instance.wait(wait)) return 0;
  wait.finish();
  const auto alloc = instance.function<GuestPtr(GuestSize)>("alloc");
  const auto address = instance.call(*alloc, 5);
  if (!address) return 0;
  const auto place = instance.memory().span(*address, 5);
  if (!place) return 0;
  std::memcpy(place->data(), "hello", 5);
  return *address;
}

constexpr HostFunction kTable[] = {host_function<&ask>("env", "ask"),
                                   host_function<&fetch>("env", "fetch")};

constexpr std::string_view kAsker = R"((module
  (import "env" "ask" (func $ask (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "add_one") (param i32) (result i32) (call $ask (local.get 0)))
  (func (export "ask_then_trap") (drop (call $ask (i32.const 1))) unreachable)
  (func (export "ask_then_spin") (drop (call $ask (i32.const 1))) (loop (br 0)))
  (func (export "spin") (loop (br 0)))
  (func (export "twice") (result i32) (call $ask (call $ask (i32.const 5))))
  (func (export "quick") (result i64) (i64.const 7000000000))))";

class SuspendTest : public SandboxTest {
 protected:
  void SetUp() override {
    make_engine({.instances = 8, .suspendable_instances = 16});
    user_ = &desk_;
  }

  std::unique_ptr<Instance> make(const std::shared_ptr<const LinkedModule>& linked) {
    auto made = Instance::create_suspendable(linked, limits_, user_, nullptr, loop_);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    std::optional<Result<void>> started;
    (*made)->start_async([&](Result<void> result) { started = std::move(result); });
    while (!started && loop_.turn()) {
    }
    EXPECT_TRUE(started.has_value() && started->has_value());
    return std::move(*made);
  }
  std::unique_ptr<Instance> make(std::string_view text) {
    const auto linked = link(text, kTable);
    EXPECT_TRUE(linked.has_value()) << linked.error().message;
    return make(*linked);
  }

  // A guest may give way at any time while the machine is busy; one that waits must not be polled,
  // so the loop comes to rest.
  void settle() {
    int turns = 0;
    while (loop_.turn() && ++turns < 100) {
    }
    ASSERT_LT(turns, 100);
  }
  void resume_one() {
    ASSERT_FALSE(desk_.waiting.empty());
    auto resume = std::move(desk_.waiting.front());
    desk_.waiting.pop_front();
    resume();
    settle();
  }
  // For tests in which the loop must not come to rest.
  void resume_busy() {
    ASSERT_FALSE(desk_.waiting.empty());
    auto resume = std::move(desk_.waiting.front());
    desk_.waiting.pop_front();
    resume();
  }

  void call(Instance& instance, std::string_view name) {
    instance.call_async(*instance.function<void()>(name),
                        [this](GuestResult<void> result) { ended_ = std::move(result); });
  }
  void call_number(Instance& instance, std::string_view name) {
    instance.call_async(*instance.function<std::int32_t()>(name),
                        [this](GuestResult<std::int32_t> result) { number_ = std::move(result); });
    settle();
  }

  TestLoop loop_;
  Desk desk_;
  std::optional<GuestResult<void>> ended_;
  std::optional<GuestResult<std::int32_t>> number_;
};

TEST_F(SuspendTest, GuestThatNeedNotWaitAnswersFromWithin) {
  auto instance = make(kAsker);
  std::int64_t seen = 0;
  instance->call_async(*instance->function<std::int64_t()>("quick"),
                       [&](GuestResult<std::int64_t> result) { seen = result.value_or(0); });
  settle();
  EXPECT_EQ(seen, 7'000'000'000);
}

TEST_F(SuspendTest, WaitsAndGoesOn) {
  auto instance = make(kAsker);
  call_number(*instance, "twice");
  EXPECT_FALSE(number_.has_value());
  resume_one();
  EXPECT_FALSE(number_.has_value());
  resume_one();
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(*number_, 7);
  EXPECT_EQ(instance->last_cost().host_calls, 2);
  EXPECT_EQ(desk_.taken_back, 0);
}

TEST_F(SuspendTest, AnswerAtOnce) {
  desk_.at_once = true;
  auto instance = make(kAsker);
  call_number(*instance, "twice");
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(*number_, 7);
}

TEST_F(SuspendTest, ThousandGuestsWaitOnOneThread) {
  make_engine({.instances = 8, .suspendable_instances = 1000});
  const auto linked = link(kAsker, kTable);
  ASSERT_TRUE(linked.has_value());
  std::vector<std::unique_ptr<Instance>> guests;
  int sum = 0;
  for (int i = 0; i < 1000; ++i) {
    guests.push_back(make(*linked));
    guests.back()->call_async(
        *guests.back()->function<std::int32_t(std::int32_t)>("add_one"),
        [&sum](GuestResult<std::int32_t> result) { sum += result.value_or(-1'000'000); }, i);
  }
  settle();
  EXPECT_EQ(sum, 0);
  EXPECT_EQ(desk_.waiting.size(), 1000);
  while (!desk_.waiting.empty()) resume_one();
  EXPECT_EQ(sum, 1000 * 1001 / 2);
}

TEST_F(SuspendTest, FullNamesTheLimit) {
  const auto linked = link(kAsker, kTable);
  std::vector<std::unique_ptr<Instance>> guests;
  guests.reserve(16);
  for (int i = 0; i < 16; ++i) guests.push_back(make(*linked));
  const auto refused = Instance::create_suspendable(*linked, limits_, user_, nullptr, loop_);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind, ErrorKind::kLimit);
  EXPECT_EQ(refused.error().message,
            "module test: all 16 instances whose host calls may wait are in use "
            "(engine.suspendable_instances; in the library max_instances)");
  guests.pop_back();
  EXPECT_NE(make(*linked), nullptr);
}

TEST_F(SuspendTest, DestroyedWhileItWaits) {
  auto instance = make(kAsker);
  call_number(*instance, "twice");
  instance.reset();
  EXPECT_EQ(desk_.taken_back, 1);
  EXPECT_FALSE(number_.has_value());
  resume_one();  // comes too late
  EXPECT_FALSE(number_.has_value());
}

TEST_F(SuspendTest, DestroyedByItsOwnAnswer) {
  auto instance = make(kAsker);
  int answers = 0;
  instance->call_async(
      *instance->function<std::int32_t(std::int32_t)>("add_one"),
      [&](GuestResult<std::int32_t> /*result*/) {
        ++answers;
        instance.reset();
      },
      1);
  resume_one();
  EXPECT_EQ(answers, 1);
  EXPECT_EQ(instance, nullptr);
}

TEST_F(SuspendTest, DestroyedWhileItComputes) {
  auto instance = make(kAsker);
  call(*instance, "spin");
  EXPECT_EQ(loop_.queued(), 1);
  instance.reset();
  EXPECT_TRUE(loop_.turn());
  EXPECT_EQ(loop_.queued(), 0);
  EXPECT_FALSE(ended_.has_value());
}

TEST_F(SuspendTest, TrapAfterItWaited) {
  auto instance = make(kAsker);
  call(*instance, "ask_then_trap");
  settle();
  resume_one();
  ASSERT_TRUE(ended_.has_value());
  EXPECT_EQ(ended_->error().reason, TrapReason::kUnreachable);
  EXPECT_EQ(ended_->error().function, "ask_then_trap");
  EXPECT_TRUE(instance->dead());
  ended_.reset();
  call(*instance, "spin");
  ASSERT_TRUE(ended_.has_value() && !ended_->has_value());
}

TEST_F(SuspendTest, BusyGuestGivesWayAndIsEnded) {
  limits_.cpu = milliseconds(40);
  auto instance = make(kAsker);
  call(*instance, "ask_then_spin");
  settle();
  resume_busy();
  int turns = 0;
  while (!ended_ && loop_.turn()) ++turns;
  ASSERT_TRUE(ended_.has_value());
  EXPECT_EQ(ended_->error().reason, TrapReason::kCpuLimit);
  EXPECT_EQ(ended_->error().message, "CPU time limit of 40 ms reached (cpu_limit)");
  EXPECT_GE(turns, 4);
  EXPECT_GE(instance->last_cost().cpu, milliseconds(40));
}

TEST_F(SuspendTest, WaitingTakesNoCpuTime) {
  limits_.cpu = milliseconds(20);
  auto instance = make(kAsker);
  call_number(*instance, "twice");
  const Nanoseconds until = monotonic_now() + 50'000'000;
  while (monotonic_now() < until) {
  }
  resume_one();
  resume_one();
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(*number_, 7);
  EXPECT_GE(instance->last_cost().wall, milliseconds(50));
  EXPECT_LT(instance->last_cost().cpu, milliseconds(20));
}

TEST_F(SuspendTest, MemoryThatGrewWhileItWaited) {
  auto instance = make(R"((module
    (import "env" "fetch" (func $fetch (result i32)))
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32)
      (i32.mul (memory.grow (i32.const 20)) (i32.const 65536)))
    (func (export "run") (result i32) (i32.load8_u (call $fetch)))))");
  call_number(*instance, "run");
  resume_one();
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(*number_, 'h');
  EXPECT_EQ(instance->memory().view(65536, 5), "hello");
}

// The allocator that the host function calls waits, computes or traps itself.
TEST_F(SuspendTest, NestedCallMayWait) {
  auto instance = make(R"((module
    (import "env" "fetch" (func $fetch (result i32)))
    (import "env" "ask" (func $ask (param i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (call $ask (i32.const 99)))
    (func (export "run") (result i32) (call $fetch))))");
  call_number(*instance, "run");
  resume_one();
  EXPECT_FALSE(number_.has_value());
  resume_one();
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(*number_, 100);
  EXPECT_EQ(instance->memory().view(100, 5), "hello");

  number_.reset();
  call_number(*instance, "run");
  resume_one();
  instance.reset();
  EXPECT_EQ(desk_.taken_back, 1);
}

TEST_F(SuspendTest, NestedCallThatSpins) {
  limits_.cpu = milliseconds(10);
  auto instance = make(R"((module
    (import "env" "fetch" (func $fetch (result i32)))
    (memory (export "memory") 1)
    (func (export "alloc") (param i32) (result i32) (loop (br 0)) unreachable)
    (func (export "run") (result i32) (call $fetch))))");
  call_number(*instance, "run");
  resume_busy();
  while (!number_ && loop_.turn()) {
  }
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(number_->error().reason, TrapReason::kCpuLimit);
}

TEST_F(SuspendTest, StartFunctionMayWait) {
  const auto linked = link(R"((module
    (import "env" "ask" (func $ask (param i32) (result i32)))
    (memory (export "memory") 1)
    (func $start (drop (call $ask (i32.const 1))))
    (start $start)))",
                           kTable);
  auto instance = *Instance::create_suspendable(*linked, limits_, user_, nullptr, loop_);
  bool started = false;
  instance->start_async([&](Result<void> result) { started = result.has_value(); });
  settle();
  EXPECT_FALSE(started);
  resume_one();
  EXPECT_TRUE(started);

  auto other = *Instance::create_suspendable(*linked, limits_, user_, nullptr, loop_);
  other->start_async([&](Result<void> /*result*/) { FAIL(); });
  other.reset();
  EXPECT_EQ(desk_.taken_back, 1);
}

TEST_F(SuspendTest, StartFunctionThatSpins) {
  limits_.cpu = milliseconds(10);
  const auto linked = link("(module (func $start (loop (br 0))) (start $start))");
  auto instance = *Instance::create_suspendable(*linked, limits_, user_, nullptr, loop_);
  std::optional<Result<void>> started;
  instance->start_async([&](Result<void> result) { started = std::move(result); });
  while (!started && loop_.turn()) {
  }
  ASSERT_TRUE(started.has_value() && !started->has_value());
  EXPECT_EQ(started->error().kind, ErrorKind::kTrap);
  EXPECT_TRUE(started->error().message.contains("CPU time limit of 10 ms"))
      << started->error().message;
}

TEST_F(SuspendTest, InstanceThatCannotBeSuspended) {
  auto instance = start(kAsker, kTable);
  const Trap trap = trap_of(*instance, "ask_then_trap");
  EXPECT_EQ(trap.reason, TrapReason::kHost);
  EXPECT_EQ(trap.message, "a host function had to wait where the guest cannot be suspended");
}

TEST_F(SuspendTest, StackOverflowOfAGuestOnItsOwnStack) {
  auto instance = make(R"((module (memory (export "memory") 1)
    (func $deep (export "run") (result i32) (i32.add (call $deep) (i32.const 1)))))");
  call_number(*instance, "run");
  ASSERT_TRUE(number_.has_value());
  EXPECT_EQ(number_->error().reason, TrapReason::kStackOverflow);
}

TEST_F(SuspendTest, PrintsWhatACallCosts) {
  const auto linked = link(kAsker, kTable);
  constexpr int kRounds = 2000;
  const Nanoseconds begun = monotonic_now();
  for (int i = 0; i < kRounds; ++i) {
    auto instance = make(*linked);
    call_number(*instance, "twice");
    resume_one();
    resume_one();
    ASSERT_EQ(number_->value_or(0), 7);
  }
  std::printf("fresh instance, a call and two waits: %lld ns\n",
              static_cast<long long>((monotonic_now() - begun) / kRounds));
}

}  // namespace
}  // namespace heddle::sandbox
