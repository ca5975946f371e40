#include "services/login_guard.h"

#include <gtest/gtest.h>

namespace heddle::services {
namespace {

using std::chrono::seconds;

constexpr Nanoseconds kSecond = 1'000'000'000;

class LoginGuardTest : public testing::Test {
 protected:
  using End = LoginGuard::End;
  // Whether the attempt was let through; it ends at once.
  bool attempt(const std::string& user, const std::string& address, End how,
               Nanoseconds now = kSecond) {
    if (guard_.begin(user, address, now).wait > seconds(0)) return false;
    guard_.end(user, address, how, now);
    return true;
  }
  LoginGuard guard_{2, seconds(60)};
};

TEST_F(LoginGuardTest, LocksAUserAtAnAddressForAWhile) {
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(attempt("ada", "192.0.2.1", End::kFailed));
  const auto locked = guard_.begin("ada", "192.0.2.1", 2 * kSecond);
  EXPECT_EQ(locked.wait, seconds(59));
  EXPECT_TRUE(locked.locked);
  EXPECT_EQ(guard_.look("ada", "192.0.2.1", true, 2 * kSecond).wait, seconds(59));
  EXPECT_EQ(guard_.look("bob", "192.0.2.1", true, 2 * kSecond).wait, seconds(0));
  EXPECT_TRUE(attempt("bob", "192.0.2.1", End::kFailed));
  EXPECT_TRUE(attempt("ada", "192.0.2.2", End::kFailed));
  EXPECT_TRUE(attempt("ada", "192.0.2.1", End::kFailed, 61 * kSecond));
}

TEST_F(LoginGuardTest, OnlyFailuresCount) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(attempt("ada", "192.0.2.1", i % 2 == 0 ? End::kSucceeded : End::kUnknown));
  }
}

TEST_F(LoginGuardTest, ASuccessEndsTheRow) {
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(attempt("ada", "192.0.2.1", End::kFailed));
    EXPECT_TRUE(attempt("ada", "192.0.2.1", End::kSucceeded));
  }
}

TEST_F(LoginGuardTest, WhoIsKnownEndsTheRowToo) {
  for (const std::string user : {"known", "unknown"}) {
    EXPECT_TRUE(attempt(user, "192.0.2.1", End::kFailed));
    EXPECT_FALSE(guard_.look(user, "192.0.2.1", user == "known", kSecond).locked);
    EXPECT_TRUE(attempt(user, "192.0.2.1", End::kFailed));
    EXPECT_EQ(guard_.look(user, "192.0.2.1", false, kSecond).locked, user == "unknown");
  }
}

TEST_F(LoginGuardTest, ManyAtOnceAreNoWayAround) {
  for (int i = 0; i < 2; ++i) EXPECT_EQ(guard_.begin("ada", "192.0.2.1", kSecond).wait, seconds(0));
  const auto busy = guard_.begin("ada", "192.0.2.1", kSecond);
  EXPECT_EQ(busy.wait, seconds(1));
  EXPECT_FALSE(busy.locked) << "nobody has failed yet";
  guard_.end("ada", "192.0.2.1", End::kSucceeded, kSecond);
  EXPECT_EQ(guard_.begin("ada", "192.0.2.1", kSecond).wait, seconds(0));
}

TEST_F(LoginGuardTest, AnAddressMayNotTryManyUsers) {
  for (int i = 0; i < 8; ++i) {
    EXPECT_TRUE(attempt("user" + std::to_string(i), "192.0.2.1", End::kFailed));
  }
  EXPECT_FALSE(attempt("ada", "192.0.2.1", End::kFailed));
}

TEST_F(LoginGuardTest, AnIpv6NetworkIsOneAddress) {
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(attempt("ada", "2001:db8::1", End::kFailed));
  EXPECT_FALSE(attempt("ada", "2001:db8::ffff:2", End::kFailed));
  EXPECT_TRUE(attempt("ada", "2001:db8:0:1::1", End::kFailed));
}

}  // namespace
}  // namespace heddle::services
