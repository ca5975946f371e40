#include "config/scalars.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

#include "config/formats.h"

namespace heddle::config {
namespace {

TEST(Scalars, Durations) {
  EXPECT_EQ(parse_duration("100ms"), 100);
  EXPECT_EQ(parse_duration("5s"), 5'000);
  EXPECT_EQ(parse_duration("1m30s"), 90'000);
  EXPECT_EQ(parse_duration("1h"), 3'600'000);
  EXPECT_EQ(parse_duration("2d"), 172'800'000);
  EXPECT_EQ(parse_duration("0"), 0);
  for (const auto* bad : {"", "5", "s", "5 s", "1s1s", "1s1h", "1.s", ".5s", "1.5", "1.5.5s",
                          "1..5s", "-1s", "5S", "99999999999999999999s", "300000d"}) {
    EXPECT_FALSE(parse_duration(bad).has_value()) << bad;
  }
}

// As Loom's files may have them: Go's durations. Whole milliseconds, never shorter than written.
TEST(Scalars, DurationsWithFractionsAndFineUnits) {
  EXPECT_EQ(parse_duration("0.5s"), 500);
  EXPECT_EQ(parse_duration("1.5h30m"), 7'200'000);
  EXPECT_EQ(parse_duration("1m0.5s"), 60'500);
  EXPECT_EQ(parse_duration("0.001s"), 1);
  EXPECT_EQ(parse_duration("0.0000000001s"), 1);
  EXPECT_EQ(parse_duration("1500us"), 2);
  EXPECT_EQ(parse_duration("500\u00b5s"), 1);
  EXPECT_EQ(parse_duration("2000\u03bcs"), 2);
  EXPECT_EQ(parse_duration("1ns"), 1);
  EXPECT_EQ(parse_duration("0ns"), 0);
  EXPECT_EQ(parse_duration("1.999999999999999999999s"), 2'000);
}

TEST(Scalars, Sizes) {
  EXPECT_EQ(parse_size("512"), 512);
  EXPECT_EQ(parse_size("512B"), 512);
  EXPECT_EQ(parse_size("1K"), 1'024);
  EXPECT_EQ(parse_size("64KiB"), 65'536);
  EXPECT_EQ(parse_size("16MB"), 16'777'216);
  EXPECT_EQ(parse_size("16 mb"), 16'777'216);
  EXPECT_EQ(parse_size("1GiB"), 1'073'741'824);
  for (const auto* bad : {"", "MB", "1.5MB", "-1", "1TB", "1 M B", "9223372036854775807K"}) {
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
  }
}

TEST(Scalars, WhatIsFormattedReadsBack) {
  for (const std::int64_t value :
       {0L, 1L, 999L, 1'000L, 90'000L, 3'600'000L, 3'661'001L, 86'400'000L}) {
    EXPECT_EQ(parse_duration(format_duration(value)), value) << format_duration(value);
    EXPECT_EQ(parse_size(format_size(value * 1'024)), value * 1'024);
    EXPECT_EQ(parse_size(format_size(value)), value);
  }
  EXPECT_EQ(format_duration(90'000), "1m30s");
  EXPECT_EQ(format_size(65'536), "64KiB");
}

TEST(Scalars, BooleansAndIntegers) {
  EXPECT_EQ(parse_boolean("Yes"), true);
  EXPECT_EQ(parse_boolean("OFF"), false);
  EXPECT_FALSE(parse_boolean("1").has_value());
  EXPECT_EQ(parse_integer("-12"), -12);
  EXPECT_EQ(parse_integer("0x1F"), 31);
  EXPECT_EQ(parse_integer("0o17"), 15);
  for (const auto* bad : {"", "-", "+-1", "1_0", "1e3", "0x", " 1", "9223372036854775808"}) {
    EXPECT_FALSE(parse_integer(bad).has_value()) << bad;
  }
}

TEST(Names, NearestFindsSlips) {
  static constexpr std::array<std::string_view, 3> kWords = {"timeout", "priority", "path"};
  EXPECT_EQ(nearest("tiemout", kWords), "timeout");
  EXPECT_EQ(nearest("Path", kWords), "path");
  EXPECT_EQ(nearest("zebra", kWords), "");
  EXPECT_EQ(nearest(std::string(1'000, 'x'), kWords), "");
}

TEST(Names, QuotesAreCutBetweenCharacters) {
  EXPECT_EQ(quote("a\n"), "\"a\\n\"");
  const std::string quoted = quote(std::string(59, 'a') + "éé");
  EXPECT_EQ(quoted, "\"" + std::string(59, 'a') + "…\"");
}

TEST(Formats, EndpointsLoseTheirScheme) {
  const auto normal = [](std::string value) {
    return check_endpoint(value).has_value() ? std::string("refused") : value;
  };
  EXPECT_EQ(normal("a:1"), "a:1");
  EXPECT_EQ(normal("http://a:1/"), "a:1");
  EXPECT_EQ(normal("http://a"), "a:80");
  EXPECT_EQ(normal("https://a/"), "https://a:443");
  EXPECT_EQ(normal("https://a:1"), "https://a:1");
  EXPECT_EQ(normal("https://"), "refused");
  EXPECT_EQ(normal("[::1]:1"), "[::1]:1");
  EXPECT_EQ(normal("http://[::1]"), "[::1]:80");
  EXPECT_EQ(normal("a"), "refused");
  EXPECT_EQ(normal(""), "refused");
  EXPECT_EQ(normal(":80"), "refused");
  EXPECT_EQ(normal("http://"), "refused");
}

TEST(Formats, PasswordHashes) {
  const auto accepted = [](std::string value) { return !check_password_hash(value).has_value(); };
  EXPECT_TRUE(accepted("$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"));
  EXPECT_TRUE(accepted("$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"));
  EXPECT_FALSE(accepted("$argon2i$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"));
  EXPECT_FALSE(accepted("$2x$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy"));
  EXPECT_FALSE(accepted("password"));
  EXPECT_FALSE(accepted(""));
}

}  // namespace
}  // namespace heddle::config
