#include "gateway/native_rate_limit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

namespace heddle::gateway {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;
constexpr Nanoseconds kNow = 1'000 * kSecond;

RateLimitRule rule(std::uint32_t rate, std::uint32_t burst) {
  config::RateLimit settings;
  settings.rate = rate;
  settings.burst = burst;
  return RateLimitRule::of(settings);
}

TEST(RateLimit, BurstThenRate) {
  RateLimitTable table(100);
  const RateLimitRule ten = rule(10, 3);
  for (const std::uint32_t left : {2U, 1U, 0U}) {
    const auto decision = table.take("a", ten, kNow);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, left);
  }
  const auto refused = table.take("a", ten, kNow);
  EXPECT_FALSE(refused.allowed);
  EXPECT_EQ(refused.retry_after, kSecond / 10);
  EXPECT_EQ(refused.reset, 3 * kSecond / 10);
  EXPECT_TRUE(table.take("b", ten, kNow).allowed) << "another bucket";
  EXPECT_FALSE(table.take("a", ten, kNow + kSecond / 10 - 1).allowed);
  EXPECT_TRUE(table.take("a", ten, kNow + kSecond / 10).allowed);
  EXPECT_EQ(table.take("a", ten, kNow + 10 * kSecond).remaining, 2U) << "never more than the burst";
}

TEST(RateLimit, ARefusedRequestCostsNothing) {
  RateLimitTable table(100);
  const RateLimitRule one = rule(1, 1);
  EXPECT_TRUE(table.take("a", one, kNow).allowed);
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(table.take("a", one, kNow + i).allowed);
  EXPECT_TRUE(table.take("a", one, kNow + kSecond).allowed);
}

TEST(RateLimit, ASmallerBurstAfterAReloadFreesWhoWaits) {
  RateLimitTable table(100);
  const RateLimitRule wide = rule(1, 1000);
  for (int i = 0; i < 1000; ++i) ASSERT_TRUE(table.take("a", wide, kNow).allowed);
  EXPECT_FALSE(table.take("a", rule(1, 2), kNow + kSecond).allowed);
  EXPECT_LE(table.take("a", rule(1, 2), kNow + kSecond).retry_after, kSecond);
}

TEST(RateLimit, ExtremesDoNotOverflow) {
  config::RateLimit settings;
  settings.rate = 1;
  settings.period = config::Milliseconds(86'400'000);
  settings.burst = 1'000'000'000;
  RateLimitTable table(8);
  EXPECT_TRUE(table.take("a", RateLimitRule::of(settings), kNow).allowed);
  settings.rate = 4'000'000'000;
  settings.period = config::Milliseconds(1);
  EXPECT_TRUE(table.take("b", RateLimitRule::of(settings), kNow).allowed);
}

TEST(RateLimit, TheTableStaysAsLargeAsItIs) {
  RateLimitTable table(1000);
  const std::size_t capacity = table.capacity();
  EXPECT_GE(capacity, 1000U);
  const RateLimitRule one = rule(1, 1);
  std::size_t evicted = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto decision = table.take("key " + std::to_string(i), one, kNow);
    EXPECT_TRUE(decision.allowed) << "a new key has a full bucket";
    evicted += decision.evicted ? 1 : 0;
  }
  EXPECT_EQ(table.capacity(), capacity);
  EXPECT_EQ(evicted, 100'000 - capacity);
  EXPECT_FALSE(table.take("late", one, kNow + 10 * kSecond).evicted) << "full buckets make room";
}

TEST(RateLimit, WhoIsLimitedKeepsItsBucketAmongManyNewKeys) {
  RateLimitTable table(1000);
  const RateLimitRule few = rule(1, 5);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(table.take("busy", few, kNow).allowed);
  for (int i = 0; i < 50'000; ++i) table.take("key " + std::to_string(i), few, kNow);
  EXPECT_FALSE(table.take("busy", few, kNow).allowed);
}

TEST(RateLimit, ThreadsTogetherTakeNoMoreThanThereIs) {
  RateLimitTable table(64);
  const RateLimitRule rule_of_all = rule(1, 1000);
  std::atomic<int> taken{0};
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) taken += table.take("a", rule_of_all, kNow).allowed ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GE(taken, 1000);
  EXPECT_LE(taken, 1003) << "but for the moment in which threads make the bucket";
}

TEST(RateLimit, ClientsOfIpv6AreNetworks) {
  EXPECT_EQ(client_key("192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_key("2001:db8:1:2::3"), client_key("2001:db8:1:2:ffff::1"));
  EXPECT_NE(client_key("2001:db8:1:2::3"), client_key("2001:db8:1:3::3"));
  EXPECT_EQ(client_key("::ffff:192.0.2.1"), "192.0.2.1");
  EXPECT_EQ(client_key("fe80::1%eth0"), client_key("fe80::2%eth0"));
}

}  // namespace
}  // namespace heddle::gateway
