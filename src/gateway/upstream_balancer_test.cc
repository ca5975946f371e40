#include "gateway/upstream_balancer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "gateway/upstream_maglev.h"
#include "http/message.h"

namespace heddle::gateway {
namespace {

constexpr std::uint32_t kPanic = 1;

class Endpoints {
 public:
  explicit Endpoints(const std::vector<std::uint32_t>& weights,
                     const std::string& prefix = "10.0.0.") {
    std::vector<MaglevItem> items;
    for (std::size_t i = 0; i < weights.size(); ++i) {
      EndpointEntry entry;
      entry.state =
          std::make_shared<EndpointState>("api", prefix + std::to_string(i) + ":80", metrics_);
      entry.weight = weights[i];
      set_.entries.push_back(std::move(entry));
      items.push_back({set_.entries.back().state->address(), weights[i]});
    }
    set_.table = maglev_table(items);
  }

  const EndpointSet& set() const { return set_; }
  EndpointState& operator[](std::size_t index) { return *set_.entries[index].state; }

 private:
  metrics::Registry metrics_;
  EndpointSet set_;
};

std::map<std::size_t, int> picks(Balancer& balancer, int count) {
  std::map<std::size_t, int> out;
  for (int i = 0; i < count; ++i) ++out[balancer.pick()];
  return out;
}

std::vector<std::size_t> keys(Balancer& balancer, std::uint64_t count) {
  std::vector<std::size_t> out;
  for (std::uint64_t key = 1; key <= count; ++key) {
    out.push_back(balancer.pick(hash_bytes("user-" + std::to_string(key))));
  }
  return out;
}

TEST(Balancer, RoundRobinTakesAllInTurnAndWorkersStartApart) {
  Endpoints endpoints({1, 1, 1});
  Balancer first(Balancing::kRoundRobin, kPanic, 0);
  Balancer second(Balancing::kRoundRobin, kPanic, 1);
  first.update(endpoints.set());
  second.update(endpoints.set());
  EXPECT_EQ(first.pick(), 0U);
  EXPECT_EQ(second.pick(), 1U);
  EXPECT_EQ(picks(first, 300), (std::map<std::size_t, int>{{0, 100}, {1, 100}, {2, 100}}));
}

TEST(Balancer, WeightedKeepsSharesAndSpreadsThem) {
  Endpoints endpoints({5, 3, 2});
  Balancer balancer(Balancing::kWeighted, kPanic, 3);
  balancer.update(endpoints.set());
  const auto many = picks(balancer, 1000);
  EXPECT_NEAR(many.at(0), 500, 1);
  EXPECT_NEAR(many.at(1), 300, 1);
  EXPECT_NEAR(many.at(2), 200, 1);
  // Never long runs of the heaviest.
  int run = 0;
  for (int i = 0; i < 100; ++i) {
    run = balancer.pick() == 0 ? run + 1 : 0;
    EXPECT_LE(run, 2);
  }
}

TEST(Balancer, LeastRequestsCountsOverAllWorkersAndWeighs) {
  Endpoints endpoints({1, 1, 2});
  Balancer balancer(Balancing::kLeast, kPanic, 0);
  balancer.update(endpoints.set());
  endpoints[0].load.requests = 4;
  endpoints[1].load.requests = 1;
  endpoints[2].load.requests = 4;
  EXPECT_EQ(balancer.pick(), 1U);
  endpoints[1].load.requests = 4;
  EXPECT_EQ(balancer.pick(), 2U) << "twice the weight takes twice the requests";
}

TEST(Balancer, LeastRequestsTakesEqualsInTurn) {
  Endpoints endpoints({1, 1, 1, 1});
  Balancer balancer(Balancing::kLeast, kPanic, 0);
  balancer.update(endpoints.set());
  for (const auto& [entry, count] : picks(balancer, 400)) EXPECT_EQ(count, 100) << entry;
}

TEST(Balancer, RandomOfTwoAvoidsTheLoadedAndIsEvenOtherwise) {
  Endpoints endpoints({1, 1, 1});
  Balancer balancer(Balancing::kRandom, kPanic, 0);
  balancer.update(endpoints.set());
  for (const auto& [entry, count] : picks(balancer, 9000)) {
    EXPECT_NEAR(count, 3000, 300) << entry;
  }
  endpoints[1].load.requests = 100;
  EXPECT_EQ(picks(balancer, 1000).count(1), 0U) << "it loses against whichever other";
}

TEST(Balancer, HashSpreadsByWeight) {
  Endpoints endpoints({1, 1, 2});
  Balancer balancer(Balancing::kHash, kPanic, 0);
  balancer.update(endpoints.set());
  std::map<std::size_t, int> counts;
  for (const std::size_t entry : keys(balancer, 20'000)) ++counts[entry];
  EXPECT_NEAR(counts[0], 5000, 300);
  EXPECT_NEAR(counts[1], 5000, 300);
  EXPECT_NEAR(counts[2], 10'000, 400);
}

TEST(Balancer, HashMovesOnlyTheKeysOfAnEndpointThatIsNotUsable) {
  Endpoints endpoints({1, 1, 1, 1, 1});
  Balancer balancer(Balancing::kHash, kPanic, 0);
  balancer.update(endpoints.set());
  const auto before = keys(balancer, 5000);
  endpoints[2].add(EndpointState::kUnhealthy);
  balancer.update(endpoints.set());
  const auto during = keys(balancer, 5000);
  std::map<std::size_t, int> taken;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (before[i] == 2) {
      ++taken[during[i]];
    } else {
      ASSERT_EQ(before[i], during[i]);
    }
  }
  EXPECT_EQ(taken.size(), 4U) << "its keys go to all others";
  EXPECT_EQ(taken.count(2), 0U);
  endpoints[2].remove(EndpointState::kUnhealthy);
  balancer.update(endpoints.set());
  EXPECT_EQ(keys(balancer, 5000), before);
}

TEST(Balancer, HashMovesFewKeysWhenAnEndpointComes) {
  Endpoints five({1, 1, 1, 1, 1});
  Endpoints six({1, 1, 1, 1, 1, 1});
  Balancer balancer(Balancing::kHash, kPanic, 0);
  balancer.update(five.set());
  const auto before = keys(balancer, 12'000);
  balancer.update(six.set());
  const auto after = keys(balancer, 12'000);
  int moved = 0;
  int to_old = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    moved += before[i] != after[i] ? 1 : 0;
    to_old += before[i] != after[i] && after[i] != 5 ? 1 : 0;
  }
  EXPECT_NEAR(moved, 2000, 500);
  EXPECT_LT(to_old, 600);
}

TEST(Balancer, LeavesOutWhatIsNotUsableUntilThereIsTooLittle) {
  for (const Balancing balancing : {Balancing::kRoundRobin, Balancing::kWeighted, Balancing::kLeast,
                                    Balancing::kRandom, Balancing::kHash}) {
    Endpoints endpoints({1, 2, 3});
    Balancer balancer(balancing, kPanic, 0);
    endpoints[1].add(EndpointState::kEjected);
    balancer.update(endpoints.set());
    EXPECT_EQ(picks(balancer, 200).count(1), 0U);
    EXPECT_FALSE(balancer.panic());
    endpoints[0].add(EndpointState::kUnhealthy);
    endpoints[2].add(EndpointState::kUnhealthy);
    balancer.update(endpoints.set());
    EXPECT_TRUE(balancer.panic());
    EXPECT_EQ(picks(balancer, 600).size(), 3U);
    Balancer strict(balancing, 0, 0);
    strict.update(endpoints.set());
    EXPECT_EQ(strict.pick(), Balancer::kNone);
  }
}

TEST(Balancer, PrefersWhatWasNotTried) {
  for (const Balancing balancing : {Balancing::kRoundRobin, Balancing::kWeighted, Balancing::kLeast,
                                    Balancing::kRandom, Balancing::kHash}) {
    Endpoints endpoints({1, 50, 1});
    Balancer balancer(balancing, kPanic, 0);
    balancer.update(endpoints.set());
    std::vector<const EndpointState*> tried = {&endpoints[1]};
    for (int i = 0; i < 50; ++i) EXPECT_NE(balancer.pick(hash_bytes("key"), tried), 1U);
    tried.push_back(&endpoints[0]);
    EXPECT_EQ(balancer.pick(hash_bytes("key"), tried), 2U);
    EXPECT_TRUE(balancer.has_other(tried));
    tried.push_back(&endpoints[2]);
    EXPECT_FALSE(balancer.has_other(tried));
    EXPECT_NE(balancer.pick(hash_bytes("key"), tried), Balancer::kNone);
  }
}

TEST(Balancer, OfAnEmptySetThereIsNone) {
  const EndpointSet empty;
  Balancer balancer(Balancing::kWeighted, kPanic, 5);
  EXPECT_EQ(balancer.pick(), Balancer::kNone);
  balancer.update(empty);
  EXPECT_EQ(balancer.pick(), Balancer::kNone);
}

TEST(HashKey, ReadsHeaderCookieAndSource) {
  const http::HeadPtr head = http::make_head();
  head->headers.add("x-user", "anna");
  head->headers.add("cookie", "theme=dark; session=42 ;last=1");
  head->headers.add("cookie", "other=7");
  const auto of = [&](std::string_view key) { return HashKey(key).of(head->headers, "10.1.1.1"); };
  EXPECT_EQ(of("header:x-user"), hash_bytes("anna"));
  EXPECT_EQ(of("cookie:session"), hash_bytes("42"));
  EXPECT_EQ(of("cookie:other"), hash_bytes("7"));
  EXPECT_EQ(of("source"), hash_bytes("10.1.1.1"));
  EXPECT_EQ(of("cookie:absent"), 0U);
  EXPECT_EQ(of("header:absent"), 0U);
}

TEST(Maglev, FillsEveryPlaceAlsoWithExtremeWeights) {
  const std::vector<MaglevItem> items = {{"a", 1}, {"b", 65'535}, {"c", 1}};
  std::map<std::uint16_t, int> counts;
  for (const std::uint16_t item : maglev_table(items)) ++counts[item];
  EXPECT_EQ(counts[0] + counts[1] + counts[2], static_cast<int>(kMaglevPlaces));
  EXPECT_GT(counts[1], 65'000);
  EXPECT_TRUE(maglev_table({}).empty());
}

}  // namespace
}  // namespace heddle::gateway
