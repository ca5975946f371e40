#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "services/plugin_metrics.h"
#include "services/shared_data.h"
#include "services/shared_queue.h"

namespace heddle::services {
namespace {

TEST(SharedData, SetGetAndCompareAndSwap) {
  SharedData data;
  EXPECT_FALSE(data.get("a", "k").has_value());
  ASSERT_TRUE(data.set("a", "k", "1", 99).has_value())
      << "the number counts for existing keys only";
  const auto first = data.get("a", "k");
  EXPECT_EQ(first->bytes, "1");
  EXPECT_NE(first->cas, 0U);
  EXPECT_FALSE(data.get("b", "k").has_value()) << "namespaces are apart";
  ASSERT_TRUE(data.set("a", "k", "2", first->cas).has_value());
  EXPECT_EQ(data.set("a", "k", "3", first->cas).error().kind, ErrorKind::kConflict);
  ASSERT_TRUE(data.set("a", "k", "", 0).has_value());
  EXPECT_EQ(data.get("a", "k")->bytes, "");
  data.erase("a");
  EXPECT_FALSE(data.get("a", "k").has_value());
}

TEST(SharedData, AFullNamespaceLosesWhatWasNotUsedForLongest) {
  constexpr std::size_t kEach = 300 + 2 + SharedData::kEntryBytes;
  SharedData data(10 * kEach);
  const std::string value(300, 'x');
  const auto set = [&](int number) {
    return data.set("a", fmt::format("{:02}", number), value, 0).value_or(99);
  };
  const auto there = [&](int number) {
    return data.get("a", fmt::format("{:02}", number)).has_value();
  };
  for (int i = 0; i < 10; ++i) EXPECT_EQ(set(i), 0U);
  EXPECT_TRUE(there(0)) << "and now it was used";
  EXPECT_EQ(set(2), 0U) << "so was this";
  EXPECT_EQ(set(10), 1U);
  EXPECT_EQ(set(11), 1U);
  EXPECT_FALSE(there(1));
  EXPECT_FALSE(there(3));
  for (const int number : {0, 2, 4, 5, 6, 7, 8, 9, 10, 11}) EXPECT_TRUE(there(number)) << number;
  EXPECT_EQ(*data.set("a", "00", std::string(1000, 'x'), 0), 2U) << "700 bytes more";
  EXPECT_TRUE(there(0));
  EXPECT_EQ(data.set("a", "large", std::string(10 * kEach, 'x'), 0).error().kind,
            ErrorKind::kLimit);
  EXPECT_TRUE(there(0)) << "what cannot be stored evicts nothing";
  EXPECT_EQ(*data.set("b", "k", value, 0), 0U) << "namespaces are apart";
  data.erase("a");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(set(i), 0U);
}

TEST(SharedData, ManyThreadsFillANamespace) {
  SharedData data(100'000);
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&data, thread] {
      for (int i = 0; i < 2000; ++i) {
        const std::string key = fmt::format("{}-{}", thread, i);
        EXPECT_TRUE(data.set("s", key, std::string(100, 'x'), 0).has_value());
        data.get("s", fmt::format("{}-{}", thread ^ 1, i));
      }
    });
  }
  threads.clear();
  int left = 0;
  for (int thread = 0; thread < 4; ++thread) {
    for (int i = 0; i < 2000; ++i) left += data.get("s", fmt::format("{}-{}", thread, i)) ? 1 : 0;
  }
  EXPECT_LE(left, 100'000 / 260);
  EXPECT_GE(left, 100'000 / 280);
}

TEST(SharedData, NoIncrementIsLostBetweenThreads) {
  SharedData data;
  constexpr int kEach = 2000;
  const auto count = [&] {
    for (int done = 0; done < kEach;) {
      const auto value = data.get("s", "n");
      const int number = value ? std::stoi(value->bytes) : 0;
      if (data.set("s", "n", std::to_string(number + 1), value ? value->cas : 0)) ++done;
    }
  };
  ASSERT_TRUE(data.set("s", "n", "0", 0).has_value());
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) threads.emplace_back(count);
  threads.clear();
  EXPECT_EQ(data.get("s", "n")->bytes, std::to_string(4 * kEach));
}

class CountingListener final : public QueueListener {
 public:
  void on_item(std::uint32_t queue) override { heard.push_back(queue); }
  std::vector<std::uint32_t> heard;
};

TEST(SharedQueues, FirstInFirstOut) {
  SharedQueues queues;
  const auto listener = std::make_shared<CountingListener>();
  const auto id = queues.register_queue("vm", "q", listener);
  EXPECT_EQ(queues.resolve("vm", "q"), *id);
  EXPECT_FALSE(queues.resolve("other", "q").has_value());
  EXPECT_EQ(*queues.enqueue(*id, "1"), 0U);
  EXPECT_EQ(*queues.enqueue(*id, ""), 0U);
  EXPECT_EQ(listener->heard, std::vector<std::uint32_t>(2, *id)) << "once for each item";
  EXPECT_EQ(**queues.dequeue(*id), "1");
  EXPECT_EQ(**queues.dequeue(*id), "");
  EXPECT_FALSE(queues.dequeue(*id)->has_value());
  EXPECT_EQ(queues.dequeue(99).error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(queues.enqueue(0, "x").error().kind, ErrorKind::kNotFound);
}

TEST(SharedQueues, RegisteringAgainKeepsTheItemsAndTakesTheListener) {
  SharedQueues queues;
  const auto first = std::make_shared<CountingListener>();
  const auto second = std::make_shared<CountingListener>();
  const auto id = queues.register_queue("vm", "q", first);
  ASSERT_TRUE(queues.enqueue(*id, "kept").has_value());
  EXPECT_EQ(*queues.register_queue("vm", "q", second), *id);
  ASSERT_TRUE(queues.enqueue(*id, "new").has_value());
  EXPECT_EQ(first->heard.size(), 1U);
  EXPECT_EQ(second->heard.size(), 1U);
  EXPECT_EQ(**queues.dequeue(*id), "kept");
}

TEST(SharedQueues, Limits) {
  SharedQueues queues({.queues_per_space = 2, .items = 3, .bytes = 10});
  const auto id = queues.register_queue("vm", "q", {});
  ASSERT_TRUE(queues.register_queue("vm", "r", {}).has_value());
  EXPECT_EQ(queues.register_queue("vm", "s", {}).error().kind, ErrorKind::kLimit);
  for (const char* item : {"1", "2", "3"}) EXPECT_EQ(*queues.enqueue(*id, item), 0U);
  EXPECT_EQ(*queues.enqueue(*id, "4"), 1U) << "the oldest goes";
  EXPECT_EQ(**queues.dequeue(*id), "2");
  EXPECT_EQ(*queues.enqueue(*id, "123456789"), 1U);
  EXPECT_EQ(queues.enqueue(*id, "12345678901").error().kind, ErrorKind::kLimit);
}

TEST(PluginMetrics, TheSameNameIsTheSameStatistic) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  const auto first = metrics.define("p", PluginMetricType::kCounter, "hits");
  const auto again = metrics.define("p", PluginMetricType::kCounter, "hits");
  EXPECT_TRUE((*first)->increment(2));
  (*again)->record(3);
  std::uint64_t value = 0;
  EXPECT_TRUE((*first)->get(value));
  EXPECT_EQ(value, 5U);
  EXPECT_FALSE((*first)->increment(-1));
  EXPECT_EQ(metrics.define("p", PluginMetricType::kGauge, "hits").error().kind,
            ErrorKind::kConflict);
  EXPECT_EQ(registry.counter("heddle_plugin_custom_hits", "", {{"plugin", "p"}})->value(), 5U);
}

TEST(PluginMetrics, PartsBecomeLabels) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  const auto made =
      metrics.define("p", PluginMetricType::kCounter, "http.requests;code=200;plugin=x;method=GET");
  (*made)->record(1);
  EXPECT_EQ(
      registry
          .counter("heddle_plugin_custom_http_requests", "",
                   {{"plugin", "p"}, {"code", "200"}, {"custom_plugin", "x"}, {"method", "GET"}})
          ->value(),
      1U);
}

struct Spelling {
  std::string_view given;
  std::string_view name;
  metrics::Labels labels;
};

TEST(PluginMetrics, LabelsInNames) {
  const std::vector<Spelling> rows = {
      {"custom_header_value_counts_value=foo_reporter=wasmgosdk",
       "custom_header_value_counts",
       {{"value", "foo"}, {"reporter", "wasmgosdk"}}},
      {"requests.code=200.path=/a_b", "requests", {{"code", "200"}, {"path", "/a_b"}}},
      {"calls_to=a=b_c=d", "calls", {{"to", "a=b"}, {"c", "d"}}},
      {"calls_to==_c=", "calls", {{"to", "="}, {"c", ""}}},
      {"reporter=.=source;.;code=.=200;.;_istio_requests_total",
       "istio_requests_total",
       {{"reporter", "source"}, {"code", "200"}}},
      {"plain_name", "plain_name", {}},
      {"a=b", "a_b", {}},
      {"_=", "__", {}},
      {"=", "_", {}},
      {";;", "unnamed", {}},
      {"twice_k=1_k=2", "twice", {{"k", "1"}}},
      {"bytes_v=a\xff\n\xc3\xa4", "bytes", {{"v", "a??\xc3\xa4"}}},
      {"digit_1=a", "digit", {{"custom_1", "a"}}}};
  for (const Spelling& row : rows) {
    metrics::Registry registry;
    PluginMetrics metrics(registry);
    ASSERT_TRUE(metrics.define("p", PluginMetricType::kCounter, row.given).has_value());
    registry.visit([&](const metrics::Registry::Entry& entry) {
      metrics::Labels labels{{"plugin", "p"}};
      labels.insert(labels.end(), row.labels.begin(), row.labels.end());
      std::ranges::sort(labels);
      metrics::Labels found = entry.labels;
      std::ranges::sort(found);
      EXPECT_EQ(entry.name, "heddle_plugin_custom_" + std::string(row.name)) << row.given;
      EXPECT_EQ(found, labels) << row.given;
    });
  }
}

TEST(PluginMetrics, OneNameOfTwoTypesIsTwoFamilies) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  ASSERT_TRUE(metrics.define("p", PluginMetricType::kCounter, "latency").has_value());
  const auto other = metrics.define("q", PluginMetricType::kHistogram, "latency");
  (*other)->record(7);
  bool found = false;
  registry.visit([&](const metrics::Registry::Entry& entry) {
    found |= entry.name == "heddle_plugin_custom_latency_histogram" && entry.histogram != nullptr;
  });
  EXPECT_TRUE(found);
}

TEST(PluginMetrics, NoSampleHasTwoMeanings) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  using enum PluginMetricType;
  ASSERT_TRUE(metrics.define("p", kHistogram, "time").has_value());
  EXPECT_EQ(metrics.define("q", kCounter, "time_count").error().kind, ErrorKind::kConflict);
  EXPECT_EQ(metrics.define("p", kGauge, "time_sum").error().kind, ErrorKind::kConflict);
  ASSERT_TRUE(metrics.define("p", kCounter, "size_count").has_value());
  EXPECT_EQ(metrics.define("p", kHistogram, "size").error().kind, ErrorKind::kConflict);
  EXPECT_TRUE(metrics.define("p", kCounter, "count").has_value());
  ASSERT_TRUE(metrics.define("p", kCounter, "x_gauge").has_value());
  ASSERT_TRUE(metrics.define("p", kCounter, "x").has_value());
  EXPECT_EQ(metrics.define("q", kGauge, "x").error().kind, ErrorKind::kConflict);  // as x_gauge
  EXPECT_TRUE(metrics.define("p", kHistogram, "time").has_value());
}

TEST(PluginMetrics, APluginThatComesBackIsExposedAgain) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  ASSERT_TRUE(metrics.define("p", PluginMetricType::kCounter, "hits").has_value());
  registry.remove({{"plugin", "p"}});
  (*metrics.define("p", PluginMetricType::kCounter, "hits"))->record(1);
  EXPECT_EQ(registry.counter("heddle_plugin_custom_hits", "", {{"plugin", "p"}})->value(), 1U);
}

TEST(PluginMetrics, Limit) {
  metrics::Registry registry;
  PluginMetrics metrics(registry);
  for (std::size_t i = 0; i < PluginMetrics::kMaxPerPlugin; ++i) {
    ASSERT_TRUE(metrics.define("p", PluginMetricType::kGauge, "m" + std::to_string(i)).has_value());
  }
  EXPECT_EQ(metrics.define("p", PluginMetricType::kGauge, "more").error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(metrics.define("p", PluginMetricType::kGauge, "m0").has_value());
  EXPECT_TRUE(metrics.define("q", PluginMetricType::kGauge, "more").has_value());
}

}  // namespace
}  // namespace heddle::services
