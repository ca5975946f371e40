#include "contracts/native_hook/shared_ring.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

namespace heddle::native_hook {
namespace {

class RingTest : public testing::Test {
 protected:
  std::string next() {
    std::string out;
    const auto there = reader_.pop(out);
    EXPECT_TRUE(there.has_value() && *there);
    return out;
  }

  std::unique_ptr<RingMemory> memory_ = std::make_unique<RingMemory>();
  RingWriter writer_{*memory_};
  RingReader reader_{*memory_};
};

TEST_F(RingTest, RecordsComeInOrderAlsoAcrossTheEnd) {
  std::size_t size = 0;
  for (int i = 0; i < 5'000; ++i) {
    size = (size * 7 + 13) % 4'000;
    const std::string record(size, static_cast<char>('a' + i % 26));
    ASSERT_TRUE(writer_.push(record));
    ASSERT_EQ(next(), record);
  }
  std::string none;
  EXPECT_FALSE(*reader_.pop(none));
}

TEST_F(RingTest, RefusesWhatDoesNotFitAndTakesItLater) {
  const std::string record(kMaxRecord, 'x');
  ASSERT_TRUE(writer_.push(record));
  EXPECT_FALSE(writer_.push(record));
  EXPECT_EQ(next(), record);
  EXPECT_TRUE(writer_.push(record));
}

TEST_F(RingTest, ASleepingReaderIsWoken) {
  std::jthread thread([this] {
    while (!reader_.fall_asleep()) {
    }
    while (memory_->sleeping.load() == 1) reader_.sleep();
  });
  while (memory_->sleeping.load() == 0) std::this_thread::yield();
  ASSERT_TRUE(writer_.push("wake up"));
  EXPECT_TRUE(writer_.must_wake());
  EXPECT_FALSE(writer_.must_wake()) << "once";
  writer_.wake();
  thread.join();
  EXPECT_EQ(next(), "wake up");
  ASSERT_TRUE(writer_.push("more"));
  EXPECT_FALSE(reader_.fall_asleep()) << "there is a record";
}

TEST_F(RingTest, PositionsThatTheOtherSideSpoiledAreErrors) {
  std::string record;
  for (const std::uint64_t written : {std::uint64_t{1}, UINT64_MAX, RingMemory::kCapacity + 1}) {
    memory_->written = written;
    EXPECT_FALSE(reader_.pop(record).has_value()) << written;
  }
  memory_->written = 8;
  memory_->bytes.fill('\xff');
  EXPECT_FALSE(reader_.pop(record).has_value()) << "a length beyond what is there";
  memory_->read = 5;
  EXPECT_FALSE(writer_.push("x"));
}

}  // namespace
}  // namespace heddle::native_hook
