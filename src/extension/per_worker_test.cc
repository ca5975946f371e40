#include "extension/per_worker.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

namespace heddle::extension {
namespace {

TEST(PerWorker, EveryWorkerHasAPlaceOfItsOwn) {
  PerWorker<int> numbers;
  std::set<const int*> places;
  for (std::size_t worker = 0; worker <= kSmokeWorker; ++worker) {
    EXPECT_EQ(numbers.at(worker), 0);
    numbers.at(worker) = static_cast<int>(worker);
    places.insert(&numbers.at(worker));
  }
  EXPECT_EQ(places.size(), kSmokeWorker + 1);
  for (std::size_t worker = 0; worker <= kSmokeWorker; ++worker)
    EXPECT_EQ(numbers.at(worker), static_cast<int>(worker));
  EXPECT_THROW(numbers.at(kSmokeWorker + 1), std::out_of_range);
}

TEST(PerWorker, VisitsWhatWasAskedForAndFreesIt) {
  const auto value = std::make_shared<int>(1);
  {
    PerWorker<std::shared_ptr<int>> values;
    values.for_each([](const auto&) { FAIL() << "nothing was asked for"; });
    values.at(3) = value;
    values.at(kSmokeWorker) = value;
    int held = 0;
    values.for_each([&held](const auto& each) { held += each == nullptr ? 0 : 1; });
    EXPECT_EQ(held, 2);
    EXPECT_EQ(value.use_count(), 3);
  }
  EXPECT_EQ(value.use_count(), 1);
}

TEST(PerWorker, ThreadsThatAskAtOnceGetPlacesOfOneGroup) {
  for (int round = 0; round < 50; ++round) {
    PerWorker<std::size_t> numbers;
    std::atomic<std::size_t> ready{0};
    std::vector<std::thread> threads;
    threads.reserve(4);
    for (std::size_t worker = 0; worker < 4; ++worker) {
      threads.emplace_back([&, worker] {
        ++ready;
        while (ready < 4) std::this_thread::yield();
        numbers.at(worker) = worker + 1;
      });
    }
    for (auto& thread : threads) thread.join();
    for (std::size_t worker = 0; worker < 4; ++worker) EXPECT_EQ(numbers.at(worker), worker + 1);
  }
}

}  // namespace
}  // namespace heddle::extension
