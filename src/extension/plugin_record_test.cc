#include "extension/plugin_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

namespace heddle::extension {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr std::array<std::string_view, 2> kCallbacks = {"load", "send"};

class PluginRecordTest : public testing::Test {
 protected:
  PluginRecordTest()
      : path_(std::filesystem::path(testing::TempDir()) /
              ("plugin_record_" +
               std::string(testing::UnitTest::GetInstance()->current_test_info()->name()))) {
    std::filesystem::remove(path_);
    auto log = Log::create(LogLevel::kInfo, LogFormat::kJson, path_);
    if (log) log_ = std::move(*log);
    spec_.name = "greeter";
    spec_.version = 3;
    spec_.log_lines_per_second = 1'000;
    spec_.log_line_bytes = 10;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::unique_ptr<PluginRecord> make(PluginRecord::Kind kind = {}) {
    return std::make_unique<PluginRecord>(*log_, registry_, spec_, kCallbacks, kind);
  }
  std::uint64_t counted(std::string_view metric, metrics::Labels labels) {
    labels.insert(labels.begin(), {"plugin", spec_.name});
    return registry_.counter(metric, "", std::move(labels))->value();
  }
  std::uint64_t hits(std::string limit) {
    std::uint64_t out = 0;
    registry_.visit([&](const metrics::Registry::Entry& entry) {
      if (entry.name != "heddle_plugin_limit_hits_total") return;
      if (std::ranges::count(entry.labels, std::pair{std::string("limit"), limit}) > 0) {
        out = entry.counter->value();
      }
    });
    return out;
  }
  std::vector<std::string> families() {
    std::vector<std::string> out;
    registry_.visit([&](const metrics::Registry::Entry& entry) { out.emplace_back(entry.name); });
    return out;
  }
  // All that was written; nobody may write after it, and a record ends before its log.
  std::string end_log() {
    log_.reset();
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::filesystem::path path_;
  std::unique_ptr<Log> log_;
  metrics::Registry registry_;
  PluginSpec spec_;
};

TEST_F(PluginRecordTest, CpuTimeBelowAMicrosecondIsNotLost) {
  const auto record = make();
  for (int i = 0; i < 10; ++i) record->cpu(999);
  EXPECT_EQ(counted("heddle_plugin_cpu_microseconds_total", {}), 9);
  EXPECT_DOUBLE_EQ(record->stats().cpu_seconds, 9e-6);
}

TEST_F(PluginRecordTest, StatsAreThoseOfTheVersionAndMetricsThoseOfAll) {
  const auto first = make({.sees_exchanges = true});
  first->call(0, 5'000);
  first->cpu(2'000);
  first->exchange();
  first->instances(1);
  first->memory(65'536);
  const auto second = make({.sees_exchanges = true});
  second->call(1, 3'000);
  second->call(PluginRecord::kUnnamed, 1'000);
  second->exchange();
  const PluginStats stats = second->stats();
  EXPECT_EQ(stats.calls, 2);
  EXPECT_DOUBLE_EQ(stats.average_call_us, 2);
  EXPECT_EQ(stats.exchanges, 1);
  EXPECT_DOUBLE_EQ(stats.cpu_seconds, 0);
  EXPECT_EQ(stats.instances, 0);
  EXPECT_EQ(stats.memory_bytes, 0);
  EXPECT_EQ(first->stats().memory_bytes, 65'536);
  EXPECT_EQ(counted("heddle_plugin_exchanges_total", {}), 2);
}

TEST_F(PluginRecordTest, ErrorsAreCountedByReasonAndTheLastIsShown) {
  const auto record = make();
  record->error("timeout", "took too long");
  record->error("crash", "died");
  EXPECT_EQ(record->stats().errors, 2);
  EXPECT_EQ(record->stats().last_error, "died");
}

TEST_F(PluginRecordTest, KindsHaveOnlyTheMetricsThatTheyMeasure) {
  const auto record = make({.sees_exchanges = false, .measures_memory = false});
  EXPECT_THAT(families(), Not(Contains("heddle_plugin_memory_bytes")));
  EXPECT_THAT(families(), Not(Contains("heddle_plugin_exchanges_total")));
  EXPECT_THAT(families(), Contains("heddle_plugin_instances"));
  EXPECT_EQ(record->stats().exchanges, 0);
}

TEST_F(PluginRecordTest, LinesOverTheLimitAreCountedAndToldOfAtTheEnd) {
  spec_.log_lines_per_second = 0;
  auto record = make();
  for (int i = 0; i < 3; ++i) record->guest_line(LogLevel::kInfo, "hello");
  EXPECT_EQ(record->stats().limit_hits, 3);
  EXPECT_EQ(hits("log_lines_per_second"), 3);
  record.reset();
  const std::string logged = end_log();
  EXPECT_THAT(logged, HasSubstr("log lines of a plugin were dropped"));
  EXPECT_THAT(logged, Not(HasSubstr("hello")));
}

// Warnings about a plugin have a window of their own, so that its own lines do not use it up.
TEST_F(PluginRecordTest, WarningsAreLimitedByThemselves) {
  spec_.log_lines_per_second = 0;
  const auto record = make();
  EXPECT_FALSE(record->admit_line());
  std::size_t admitted = 0;
  for (int i = 0; i < 1'000; ++i) admitted += record->admit_warning() ? 1 : 0;
  EXPECT_GE(admitted, 200);
  EXPECT_LE(admitted, 600);  // the second may have changed meanwhile
  EXPECT_EQ(record->stats().limit_hits, 1'001 - admitted);
  EXPECT_EQ(hits("log_lines_per_second"), 1'001 - admitted);
}

TEST_F(PluginRecordTest, CallsAreCountedOneByOneAndTimedBySamples) {
  constexpr std::array<std::string_view, 2> kSome = {"load", ""};
  PluginRecord record(*log_, registry_, spec_, kSome, {});
  for (int i = 0; i < 10; ++i) record.count(0);
  record.count(1);
  record.duration(4'000, 17);
  EXPECT_EQ(record.stats().calls, 11);
  EXPECT_DOUBLE_EQ(record.stats().average_call_us, 4);
  EXPECT_EQ(counted("heddle_plugin_calls_total", {{"callback", "load"}}), 10);
  std::size_t series = 0;
  registry_.visit([&](const metrics::Registry::Entry& entry) {
    series += entry.name == "heddle_plugin_calls_total" ? 1 : 0;
  });
  EXPECT_EQ(series, 1);
}

TEST_F(PluginRecordTest, LinesBelowTheLevelOfTheLogCountForNothing) {
  spec_.log_lines_per_second = 0;
  const auto record = make();
  record->guest_line(LogLevel::kDebug, "hello");
  EXPECT_EQ(record->stats().limit_hits, 0);
}

TEST_F(PluginRecordTest, LongLinesAreCut) {
  auto record = make();
  record->guest_line(LogLevel::kInfo, "0123456789\n", "r-1");
  EXPECT_EQ(hits("log_line_bytes"), 0);
  record->guest_line(LogLevel::kInfo, "0123456789abc", "r-1");
  EXPECT_EQ(hits("log_line_bytes"), 1);
  record.reset();
  const std::string logged = end_log();
  EXPECT_THAT(logged, HasSubstr(R"("message":"0123456789","plugin":"greeter","version":3,)"
                                R"("request_id":"r-1")"));
  EXPECT_THAT(logged, Not(HasSubstr("abc")));
}

}  // namespace
}  // namespace heddle::extension
