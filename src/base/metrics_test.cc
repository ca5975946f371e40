// Metrics counted by many threads, and what becomes of the cells of those that are gone.
#include "base/metrics.h"

#include <gtest/gtest.h>

#include <atomic>
#include <limits>
#include <thread>

namespace heddle::metrics {
namespace {

// Runs `work` on `count` threads; the first ones have slots of their own, the rest share slot 0.
void on_threads(std::size_t count, const std::function<void()>& work) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    threads.emplace_back([&work, i] {
      set_thread_shard(i + 1);
      work();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(Counter, SumsWhatAllThreadsAdded) {
  Counter counter;
  on_threads(kShards + 4, [&] {
    for (int i = 0; i < 1000; ++i) counter.add(3);
  });
  EXPECT_EQ(counter.value(), (kShards + 4) * 3000);
}

TEST(Gauge, FallsBelowZeroOnOneThreadAndIsRightInTotal) {
  Gauge gauge;
  gauge.add(5);
  on_threads(1, [&] { gauge.add(-7); });
  EXPECT_EQ(gauge.value(), -2);
  gauge.set(40);
  EXPECT_EQ(gauge.value(), 40);
}

TEST(Histogram, CountsInTheBucketWhoseBoundIsNotBelow) {
  Histogram histogram(guest_call_bounds(), 1e-9);
  on_threads(2, [&] {
    histogram.observe(100);
    histogram.observe(101);
    histogram.observe(2'000'000'000);
  });
  const Histogram::Snapshot got = histogram.snapshot();
  EXPECT_EQ(got.counts.at(0), 2U);
  EXPECT_EQ(got.counts.at(1), 2U);
  EXPECT_EQ(got.counts.back(), 2U);
  EXPECT_EQ(got.count, 6U);
  EXPECT_EQ(got.sum, 2 * (201 + 2'000'000'000ULL));
}

TEST(Histogram, EveryBoundDividesWhatIsBelowFromWhatIsAbove) {
  for (const auto bounds : {guest_call_bounds(), request_bounds()}) {
    Histogram histogram(bounds, 1);
    for (const std::uint64_t bound : bounds) {
      for (const std::uint64_t value : {bound - 1, bound, bound + 1}) histogram.observe(value);
    }
    histogram.observe(0);
    histogram.observe(std::numeric_limits<std::uint64_t>::max());
    const auto counts = histogram.snapshot().counts;
    EXPECT_EQ(counts.front(), 3U);
    EXPECT_EQ(counts.back(), 2U);
    for (std::size_t i = 1; i + 1 < counts.size(); ++i) EXPECT_EQ(counts[i], 3U) << i;
  }
}

TEST(Metrics, AddReturnsWhatTheThreadHadCounted) {
  Counter counter;
  EXPECT_EQ(counter.add(3), 0);
  EXPECT_EQ(counter.add(4), 3);
  std::atomic<std::uint64_t> others = 0;
  on_threads(2, [&] {
    others += counter.add(10);
    others += counter.add(1);
  });
  EXPECT_EQ(others, 20);  // of each only its own
  EXPECT_EQ(counter.add(), 7);
  EXPECT_EQ(counter.value(), 30);
}

TEST(Metrics, CellsOfMetricsThatAreGoneStartAtZero) {
  for (int round = 0; round < 3; ++round) {
    std::vector<std::unique_ptr<Counter>> counters;
    std::vector<std::unique_ptr<Histogram>> histograms;
    for (int i = 0; i < 700; ++i) {  // more than a page
      counters.push_back(std::make_unique<Counter>());
      histograms.push_back(std::make_unique<Histogram>(request_bounds(), 1e-9));
      ASSERT_EQ(counters.back()->value(), 0U);
      ASSERT_EQ(histograms.back()->snapshot().sum, 0U);
      counters.back()->add(static_cast<std::uint64_t>(i) + 1);
      histograms.back()->observe(static_cast<std::uint64_t>(i));
    }
    for (std::size_t i = 0; i < counters.size(); ++i) {
      ASSERT_EQ(counters[i]->value(), i + 1);
      ASSERT_EQ(histograms[i]->snapshot().sum, i);
      ASSERT_EQ(histograms[i]->snapshot().count, 1U);
    }
  }
}

}  // namespace
}  // namespace heddle::metrics
