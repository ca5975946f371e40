#include "sandbox/address_space.h"

#include <gtest/gtest.h>

namespace heddle::sandbox {
namespace {

constexpr std::uint64_t kGiB = std::uint64_t{1} << 30U;

TEST(AddressSpace, WhatFitsIsGranted) {
  const auto log = Log::null();
  EXPECT_EQ(fit_slots(16, {.reserved_bytes = kGiB}, *log), 16U);
}

TEST(AddressSpace, FewerSlotsWhereNotAllFit) {
  const auto log = Log::null();
  // 4 GiB each: 64 times what x86-64 can address.
  const auto slots = fit_slots(2'000'000, {.reserved_bytes = 4 * kGiB}, *log);
  ASSERT_TRUE(slots.has_value()) << slots.error().message;
  EXPECT_GE(*slots, 8U);
  EXPECT_LT(*slots, 100'000U);
}

TEST(AddressSpace, AnErrorWhereNoneFit) {
  const auto log = Log::null();
  const auto slots = fit_slots(16, {.reserved_bytes = 60'000 * kGiB}, *log);
  ASSERT_FALSE(slots.has_value());
  EXPECT_EQ(slots.error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(slots.error().message.contains("16 plugin instances")) << slots.error().message;
}

}  // namespace
}  // namespace heddle::sandbox
