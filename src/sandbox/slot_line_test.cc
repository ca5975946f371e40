#include "sandbox/slot_line.h"

#include <gtest/gtest.h>

#include <string>

namespace heddle::sandbox {
namespace {

TEST(SlotLine, WakesWhoWaitsLongest) {
  SlotLine line;
  std::string woken;
  const auto first = line.queue(0, [&] { woken += 'a'; });
  const auto second = line.queue(0, [&] { woken += 'b'; });
  EXPECT_EQ(woken, "");
  line.give_back();
  EXPECT_EQ(woken, "a");
  line.give_back();
  EXPECT_EQ(woken, "ab");
  line.give_back();
  EXPECT_EQ(woken, "ab");
}

TEST(SlotLine, ASlotGivenBackBeforeTheQueueIsNotMissed) {
  SlotLine line;
  const auto seen = line.given_back();
  line.give_back();
  bool woken = false;
  const auto place = line.queue(seen, [&] { woken = true; });
  EXPECT_TRUE(woken);
}

TEST(SlotLine, WhoLeavesUnwokenIsNotCounted) {
  SlotLine line;
  std::string woken;
  auto first = line.queue(0, [&] { woken += 'a'; });
  const auto second = line.queue(0, [&] { woken += 'b'; });
  first.reset();
  line.give_back();
  EXPECT_EQ(woken, "b");
}

TEST(SlotLine, AWakeThatIsNotUsedGoesOn) {
  SlotLine line;
  std::string woken;
  auto first = line.queue(0, [&] { woken += 'a'; });
  auto second = line.queue(0, [&] { woken += 'b'; });
  const auto third = line.queue(0, [&] { woken += 'c'; });
  line.give_back();
  first.reset();
  EXPECT_EQ(woken, "ab");
  second->use();
  second.reset();
  EXPECT_EQ(woken, "ab");
}

}  // namespace
}  // namespace heddle::sandbox
