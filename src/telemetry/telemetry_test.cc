#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <map>
#include <set>
#include <sstream>
#include <string>

#include "telemetry/access_log.h"
#include "telemetry/exposition.h"
#include "telemetry/process_metrics.h"
#include "telemetry/trace_context.h"

namespace heddle::telemetry {
namespace {

using ::testing::HasSubstr;

// Samples of a text exposition by "name{labels}"; fails the test on a line that is neither sample
// nor comment.
std::map<std::string, double> parse_exposition(const std::string& text) {
  std::map<std::string, double> samples;
  std::set<std::string> families;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    if (line.starts_with("# TYPE ")) {
      EXPECT_TRUE(families.insert(line).second) << "family stated twice: " << line;
      continue;
    }
    if (line.starts_with("# HELP ")) continue;
    const std::size_t space = line.rfind(' ');
    if (space == std::string::npos) {
      ADD_FAILURE() << "not a sample: " << line;
      continue;
    }
    EXPECT_TRUE(samples.emplace(line.substr(0, space), std::stod(line.substr(space + 1))).second)
        << "sample given twice: " << line;
  }
  return samples;
}

TEST(Exposition, CountersAndGaugesWithLabels) {
  metrics::Registry registry;
  registry.counter("heddle_things_total", "Things.", {{"plugin", "a"}})->add(3);
  registry.counter("heddle_things_total", "Things.", {{"plugin", "b\"\\\n"}})->add(4);
  registry.gauge("heddle_level", "Level.", {})->set(-5);
  const std::string text = prometheus_text(registry);
  const auto samples = parse_exposition(text);
  EXPECT_EQ(samples.at("heddle_things_total{plugin=\"a\"}"), 3);
  EXPECT_EQ(samples.at("heddle_things_total{plugin=\"b\\\"\\\\\\n\"}"), 4);
  EXPECT_EQ(samples.at("heddle_level"), -5);
  EXPECT_THAT(
      text, HasSubstr("# HELP heddle_things_total Things.\n# TYPE heddle_things_total counter\n"));
}

TEST(Exposition, HistogramBucketsAreCumulativeAndScaled) {
  metrics::Registry registry;
  constexpr std::array<std::uint64_t, 2> kBounds = {1'000'000'000, 2'000'000'000};
  const auto histogram = registry.histogram("heddle_wait_seconds", "Wait.", {}, kBounds, 1e-9);
  histogram->observe(500'000'000);
  histogram->observe(1'000'000'000);  // a bound belongs to its bucket
  histogram->observe(1'500'000'000);
  histogram->observe(9'000'000'000);
  const auto samples = parse_exposition(prometheus_text(registry));
  EXPECT_EQ(samples.at("heddle_wait_seconds_bucket{le=\"1\"}"), 2);
  EXPECT_EQ(samples.at("heddle_wait_seconds_bucket{le=\"2\"}"), 3);
  EXPECT_EQ(samples.at("heddle_wait_seconds_bucket{le=\"+Inf\"}"), 4);
  EXPECT_EQ(samples.at("heddle_wait_seconds_count"), 4);
  EXPECT_DOUBLE_EQ(samples.at("heddle_wait_seconds_sum"), 12.0);
}

TEST(Exposition, GuestCallBoundsAreDecimal) {
  metrics::Registry registry;
  registry.histogram("heddle_call_seconds", "Call.", {}, metrics::guest_call_bounds(), 1e-9)
      ->observe(150);
  const auto samples = parse_exposition(prometheus_text(registry));
  EXPECT_EQ(samples.at("heddle_call_seconds_bucket{le=\"+Inf\"}"), 1);
}

TEST(Exposition, ProcessMetricsStandInEveryScrape) {
  const auto samples = parse_exposition(prometheus_text(metrics::Registry{}));
  EXPECT_GT(samples.at("process_resident_memory_bytes"), 1e6);
  EXPECT_GT(samples.at("process_open_fds"), 2);
  EXPECT_GE(samples.at("process_threads"), 1);
  EXPECT_GE(samples.at("process_cpu_seconds_total"), 0);
  const auto now = static_cast<double>(wall_now()) / 1e9;
  EXPECT_NEAR(samples.at("process_start_time_seconds"), now, 3600);
}

AccessRecord full_record() {
  AccessRecord record;
  record.time = 1'795'170'000'123'456'789;
  record.request_id = "id-1";
  record.method = "GET";
  record.path = "/a?b=\"c\"";
  record.authority = "example.com";
  record.protocol = "HTTP/1.1";
  record.status = 200;
  record.details = "via_upstream";
  record.flags = "UF";
  record.route = "all";
  record.upstream = "api";
  record.upstream_address = "127.0.0.1:9000";
  record.bytes_in = 12;
  record.bytes_out = 18'446'744'073'709'551'615U;
  record.duration = 1'234'567;
  record.remote = "127.0.0.1:50123";
  record.user_agent = "curl/8";
  record.trace_id = "0af7651916cd43dd8448eb211c80319c";
  return record;
}

TEST(AccessLog, LineIsOneJsonObject) {
  std::string line = "kept ";
  append_access_line(line, full_record());
  ASSERT_TRUE(line.starts_with("kept {"));
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto object = boost::json::parse(line.substr(5)).as_object();
  EXPECT_EQ(object.at("time").as_string(), "2026-11-20T10:20:00.123456Z");
  EXPECT_EQ(object.at("path").as_string(), "/a?b=\"c\"");
  EXPECT_EQ(object.at("status").as_int64(), 200);
  EXPECT_EQ(object.at("bytes_in").as_int64(), 12);
  EXPECT_EQ(object.at("bytes_out").as_uint64(), 18'446'744'073'709'551'615U);
  EXPECT_DOUBLE_EQ(object.at("duration_ms").as_double(), 1.234);
  EXPECT_EQ(object.at("flags").as_string(), "UF");
  EXPECT_EQ(object.at("trace_id").as_string(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(object.size(), 18U);
}

TEST(AccessLog, EmptyTextsAreLeftOutAndControlCharactersEscaped) {
  AccessRecord record;
  record.user_agent = "a\r\nb\x01\xff";
  record.duration = -1;
  record.status = -1;
  std::string line;
  append_access_line(line, record);
  const auto object = boost::json::parse(line).as_object();
  EXPECT_FALSE(object.contains("request_id"));
  EXPECT_EQ(object.at("status").as_int64(), 0);
  EXPECT_EQ(object.at("user_agent").as_string(), "a\r\nb\x01\xEF\xBF\xBD");
  EXPECT_EQ(object.at("duration_ms").as_double(), 0);
}

TEST(AccessLog, DurationsKeepThreePlaces) {
  for (const auto& [nanoseconds, text] :
       std::map<Nanoseconds, std::string>{{0, "0.000"},
                                          {999, "0.000"},
                                          {1'000, "0.001"},
                                          {1'050'000, "1.050"},
                                          {61'000'000'000, "61000.000"}}) {
    AccessRecord record;
    record.duration = nanoseconds;
    std::string line;
    append_access_line(line, record);
    EXPECT_THAT(line, HasSubstr("\"duration_ms\":" + text)) << nanoseconds;
  }
}

TEST(AccessLog, SecondLineIsNotMixedWithTheFirst) {
  const auto log = Log::null();
  AccessLog access(*log);
  access.write(full_record());
  access.write(AccessRecord{});
}

TEST(TraceParent, KeepsWhatCameIn) {
  constexpr std::string_view kHeader = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const auto parsed = TraceParent::parse(kHeader);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text(), kHeader);
  EXPECT_EQ(parsed->trace_id(), "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(parsed->parent_id(), "b7ad6b7169203331");
  EXPECT_TRUE(parsed->sampled());
  EXPECT_TRUE(TraceParent::parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more"));
}

TEST(TraceParent, RefusesMalformed) {
  for (const std::string_view header : {
           "",
           "00",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
           "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-00000000000000000000000000000000-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
           "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
           "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
           "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
           "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0g",
       }) {
    EXPECT_FALSE(TraceParent::parse(header)) << header;
  }
}

TEST(TraceParent, GeneratesValidAndDifferentOnes) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const TraceParent made = TraceParent::generate(i % 2 == 0);
    ASSERT_TRUE(TraceParent::parse(made.text())) << made.text();
    EXPECT_EQ(made.sampled(), i % 2 == 0);
    EXPECT_TRUE(seen.emplace(made.trace_id()).second);
  }
}

TEST(RandomUuid, HasVersionAndVariant) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const auto made = random_uuid();
    const std::string text(made.begin(), made.end());
    EXPECT_EQ(text[14], '4');
    EXPECT_THAT(std::string("89ab"), HasSubstr(text.substr(19, 1)));
    EXPECT_EQ(text[8], '-');
    EXPECT_EQ(text[23], '-');
    EXPECT_TRUE(seen.insert(text).second);
  }
}

}  // namespace
}  // namespace heddle::telemetry
