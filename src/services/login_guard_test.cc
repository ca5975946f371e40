#include "services/login_guard.h"

#include <gtest/gtest.h>

namespace heddle::services {
namespace {

using std::chrono::seconds;

constexpr Nanoseconds kSecond = 1'000'000'000;

TEST(LoginGuard, LocksAUserAtAnAddressForAWhile) {
  LoginGuard guard(3, seconds(60));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(guard.begin("ada", "192.0.2.1", kSecond), seconds(0));
  EXPECT_EQ(guard.begin("ada", "192.0.2.1", 2 * kSecond), seconds(59));
  EXPECT_EQ(guard.locked("ada", "192.0.2.1", 2 * kSecond), seconds(59));
  EXPECT_EQ(guard.locked("bob", "192.0.2.1", 2 * kSecond), seconds(0));
  EXPECT_EQ(guard.begin("bob", "192.0.2.1", 2 * kSecond), seconds(0));
  EXPECT_EQ(guard.begin("ada", "192.0.2.2", 2 * kSecond), seconds(0));
  EXPECT_EQ(guard.begin("ada", "192.0.2.1", 61 * kSecond), seconds(0));
}

TEST(LoginGuard, ASuccessTakesItsAttemptBack) {
  LoginGuard guard(2, seconds(60));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(guard.begin("ada", "192.0.2.1", kSecond), seconds(0));
    guard.succeeded("ada", "192.0.2.1");
  }
}

TEST(LoginGuard, AnAddressMayNotTryManyUsers) {
  LoginGuard guard(2, seconds(60));
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(guard.begin("user" + std::to_string(i), "192.0.2.1", kSecond), seconds(0));
  }
  EXPECT_GT(guard.begin("ada", "192.0.2.1", kSecond), seconds(0));
}

TEST(LoginGuard, AnIpv6NetworkIsOneAddress) {
  LoginGuard guard(1, seconds(60));
  EXPECT_EQ(guard.begin("ada", "2001:db8::1", kSecond), seconds(0));
  EXPECT_GT(guard.begin("ada", "2001:db8::ffff:2", kSecond), seconds(0));
  EXPECT_EQ(guard.begin("ada", "2001:db8:0:1::1", kSecond), seconds(0));
}

}  // namespace
}  // namespace heddle::services
