#include "contracts/native_hook/call_queue.h"

#include <gtest/gtest.h>

namespace heddle::native_hook {
namespace {

class CallQueueTest : public testing::Test {
 protected:
  std::uint64_t add(Nanoseconds now, std::size_t size = 1) {
    const std::uint64_t id = queue_.next_id();
    queue_.push(
        {.id = id, .record = std::string(size, 'x'), .limit = kLimit, .deadline = now + kLimit});
    return id;
  }

  static constexpr Nanoseconds kLimit = 100;
  std::unique_ptr<RingMemory> memory_ = std::make_unique<RingMemory>();
  RingWriter ring_{*memory_};
  CallQueue queue_;
};

TEST_F(CallQueueTest, AnswersComeInOrder) {
  const auto first = add(0);
  const auto second = add(0);
  EXPECT_FALSE(queue_.answered(first, 1)) << "it was not sent";
  EXPECT_TRUE(queue_.send(ring_, 1));
  EXPECT_FALSE(queue_.send(ring_, 1));
  EXPECT_FALSE(queue_.answered(second, 2));
  EXPECT_TRUE(queue_.answered(first, 2));
  EXPECT_TRUE(queue_.answered(second, 3));
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.next_check(), CallQueue::kNever);
}

TEST_F(CallQueueTest, SendsAsRoomAllows) {
  const auto first = add(0, kMaxRecord);
  const auto second = add(0, kMaxRecord);
  queue_.send(ring_, 0);
  EXPECT_TRUE(queue_.answered(first, 1));
  EXPECT_FALSE(queue_.answered(second, 1)) << "there was no room for it";
}

TEST_F(CallQueueTest, ATimeBeginsWhenItsTurnComes) {
  const auto first = add(0);
  add(0);
  queue_.send(ring_, 10);
  EXPECT_EQ(queue_.next_check(), 100) << "the deadline of the first";
  EXPECT_FALSE(queue_.overdue(109));
  EXPECT_TRUE(queue_.overdue(110));
  queue_.answered(first, 90);
  EXPECT_FALSE(queue_.overdue(150));
  EXPECT_TRUE(queue_.overdue(190));
}

TEST_F(CallQueueTest, WhoWaitsLongEnoughIsToldOnce) {
  const auto first = add(0);
  add(50);
  queue_.send(ring_, 0);
  EXPECT_EQ(queue_.expired(99), nullptr);
  const auto* call = queue_.expired(100);
  ASSERT_NE(call, nullptr);
  EXPECT_TRUE(queue_.is_running(*call));
  EXPECT_EQ(queue_.expired(100), nullptr);
  queue_.answered(first, 120);
  call = queue_.expired(150);
  ASSERT_NE(call, nullptr);
  EXPECT_EQ(call->id, first + 1);
}

TEST_F(CallQueueTest, AnEndOfTheChildCostsOneCall) {
  const auto first = add(0);
  const auto second = add(0);
  queue_.send(ring_, 0);
  EXPECT_EQ(queue_.interrupted()->id, first);
  EXPECT_FALSE(queue_.interrupted()) << "the next one was not being made";
  auto fresh = std::make_unique<RingMemory>();
  RingWriter other(*fresh);
  EXPECT_TRUE(queue_.send(other, 5));
  EXPECT_TRUE(queue_.answered(second, 6));
}

}  // namespace
}  // namespace heddle::native_hook
