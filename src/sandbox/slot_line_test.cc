#include "sandbox/slot_line.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

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

TEST(SlotLine, AsksThoseWhoKeepInstancesByTurns) {
  SlotLine line;
  std::string asked;
  SlotLine::Keeper empty(line, [&] { asked += 'x'; });
  SlotLine::Keeper first(line, [&] { asked += 'a'; });
  auto second = std::make_unique<SlotLine::Keeper>(line, [&] { asked += 'b'; });
  const auto before = line.queue(0, [] {});
  EXPECT_EQ(asked, "") << "nobody keeps anything";
  first.keeps(2);
  second->keeps(1);
  std::vector<std::unique_ptr<SlotLine::Place>> places;
  places.reserve(3);
  for (int i = 0; i < 3; ++i) places.push_back(line.queue(0, [] {}));
  EXPECT_EQ(asked, "aba");
  second.reset();
  first.keeps(0);
  line.ask_a_keeper();
  EXPECT_EQ(asked, "aba");
}

TEST(SlotLine, KnowsWhetherSomebodyElseWaitsLonger) {
  SlotLine line;
  EXPECT_FALSE(line.another_waits(nullptr));
  auto first = line.queue(0, [] {});
  const auto second = line.queue(0, [] {});
  EXPECT_FALSE(line.another_waits(first.get()));
  EXPECT_TRUE(line.another_waits(second.get()));
  EXPECT_TRUE(line.another_waits(nullptr));
  first.reset();
  EXPECT_FALSE(line.another_waits(second.get()));
}

}  // namespace
}  // namespace heddle::sandbox
