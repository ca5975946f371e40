#include "admin/authenticator.h"

#include <crypt.h>
#include <gtest/gtest.h>
#include <sodium.h>

#include <thread>

#include "services/password.h"

namespace heddle::admin {
namespace {

using Verdict = Authenticator::Verdict;
constexpr Nanoseconds kSecond = 1'000'000'000;

std::string argon2(const std::string& password) {
  EXPECT_GE(sodium_init(), 0);
  std::array<char, crypto_pwhash_STRBYTES> out{};
  EXPECT_EQ(crypto_pwhash_str(out.data(), password.data(), password.size(),
                              crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN),
            0);
  return out.data();
}

std::string bcrypt(const std::string& password) {
  crypt_data scratch{};
  return crypt_r(password.c_str(), "$2a$04$abcdefghijklmnopqrstuu", &scratch);
}

std::string basic(const std::string& text) {
  std::string out(sodium_base64_ENCODED_LEN(text.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()),
                    text.size(), sodium_base64_VARIANT_ORIGINAL);
  out.pop_back();
  return "Basic " + out;
}

class AuthenticatorTest : public ::testing::Test {
 protected:
  AuthenticatorTest() {
    auto made = Authenticator::create({{"anna", argon2("correct")}, {"bob", bcrypt("horse")}});
    EXPECT_TRUE(made);
    auth_ = std::move(*made);
  }
  Authenticator::Decision ask(const std::string& header, const std::string& ip = "10.0.0.1") {
    if (auto decision = auth_->check(header, ip, now_)) return *decision;
    ++hashed_;
    return auth_->verify(header, ip, now_);
  }

  std::unique_ptr<Authenticator> auth_;
  Nanoseconds now_ = 1'000 * kSecond;
  int hashed_ = 0;
};

TEST_F(AuthenticatorTest, ArgonAndBcryptUsersGetIn) {
  const auto anna = ask(basic("anna:correct"));
  EXPECT_EQ(anna.verdict, Verdict::kAllowed);
  EXPECT_EQ(anna.user, "anna");
  EXPECT_EQ(ask(basic("bob:horse")).user, "bob");
}

TEST_F(AuthenticatorTest, RightCredentialsAreHashedOnce) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask(basic("anna:correct")).verdict, Verdict::kAllowed);
  EXPECT_EQ(hashed_, 1);
  EXPECT_EQ(ask(basic("anna:wrong")).verdict, Verdict::kRefused);
  EXPECT_EQ(hashed_, 2);
}

TEST_F(AuthenticatorTest, WrongOnesAreRefused) {
  EXPECT_EQ(ask(basic("anna:horse")).verdict, Verdict::kRefused);
  EXPECT_EQ(ask(basic("nobody:correct")).verdict, Verdict::kRefused);
  EXPECT_EQ(hashed_, 2);  // unknown users are hashed too
  for (const std::string header : {"", "Basic", "Basic !!!", "Bearer abc", "Basic YW5uYQ=="}) {
    EXPECT_EQ(ask(header, "10.9.9.9").verdict, Verdict::kRefused) << header;
  }
  EXPECT_EQ(hashed_, 2);  // these are no guesses
}

TEST_F(AuthenticatorTest, FiveFailuresInAMinuteLockForFifteen) {
  EXPECT_EQ(ask(basic("anna:correct")).verdict, Verdict::kAllowed);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(ask(basic("anna:" + std::to_string(i))).verdict, Verdict::kRefused) << i;
  }
  // Even the right ones, or a guess would show.
  const auto locked = ask(basic("anna:correct"));
  EXPECT_EQ(locked.verdict, Verdict::kLocked);
  EXPECT_EQ(locked.retry_after, std::chrono::seconds(900));
  EXPECT_EQ(ask("").verdict, Verdict::kLocked);
  EXPECT_EQ(ask(basic("anna:correct"), "10.0.0.2").verdict, Verdict::kAllowed);
  now_ += 899 * kSecond;
  EXPECT_EQ(ask(basic("anna:correct")).retry_after, std::chrono::seconds(1));
  now_ += kSecond;
  EXPECT_EQ(ask(basic("anna:correct")).verdict, Verdict::kAllowed);
}

TEST_F(AuthenticatorTest, OldFailuresAreForgotten) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ask(basic("anna:" + std::to_string(i))).verdict, Verdict::kRefused) << i;
    now_ += 16 * kSecond;
  }
}

TEST_F(AuthenticatorTest, SuccessClearsFailures) {
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(ask(basic("anna:" + std::to_string(i))).verdict, Verdict::kRefused) << i;
    EXPECT_EQ(ask(basic("bob:horse")).verdict, Verdict::kAllowed);
    auth_ =
        std::move(*Authenticator::create({{"anna", argon2("correct")}, {"bob", bcrypt("horse")}}));
  }
}

TEST_F(AuthenticatorTest, GuessesAtTheSameTimeBuyNothing) {
  for (int i = 0; i < 5; ++i)
    EXPECT_FALSE(auth_->check(basic("anna:" + std::to_string(i)), "10.0.0.1", now_));
  const auto sixth = auth_->check(basic("anna:6"), "10.0.0.1", now_);
  ASSERT_TRUE(sixth);
  EXPECT_EQ(sixth->verdict, Verdict::kLocked);
  EXPECT_EQ(sixth->retry_after, std::chrono::seconds(1));
}

TEST_F(AuthenticatorTest, ManyRequestsWithTheSameCredentialsAreOneGuess) {
  const std::string right = basic("anna:correct");
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(auth_->check(right, "10.0.0.1", now_));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(auth_->verify(right, "10.0.0.1", now_).verdict, Verdict::kAllowed);
  const std::string wrong = basic("anna:wrong");
  for (int i = 0; i < 20; ++i) EXPECT_FALSE(auth_->check(wrong, "10.0.0.2", now_));
  for (int i = 0; i < 20; ++i)
    EXPECT_EQ(auth_->verify(wrong, "10.0.0.2", now_).verdict, Verdict::kRefused);
  EXPECT_EQ(ask(right, "10.0.0.2").verdict, Verdict::kAllowed);
}

TEST_F(AuthenticatorTest, AnIpv6NetworkIsOneAddress) {
  for (int i = 0; i < 5; ++i)
    ask(basic("anna:" + std::to_string(i)), "2001:db8::" + std::to_string(i + 1));
  EXPECT_EQ(ask(basic("anna:x"), "2001:db8::ffff").verdict, Verdict::kLocked);
  EXPECT_EQ(ask(basic("anna:x"), "2001:db8:0:1::1").verdict, Verdict::kRefused);
}

TEST_F(AuthenticatorTest, ThreadsMayAskAtOnce) {
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      const std::string ip = "10.0.1." + std::to_string(t);
      for (int i = 0; i < 4; ++i) {
        const std::string header = basic(i % 2 == 0 ? "bob:horse" : "bob:" + std::to_string(t));
        if (!auth_->check(header, ip, now_)) auth_->verify(header, ip, now_);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ask(basic("bob:horse"), "10.0.1.9").verdict, Verdict::kAllowed);
}

TEST(AuthenticatorCreate, RefusesWhatIsNoHash) {
  const auto plain = Authenticator::create({{"anna", "correct"}});
  ASSERT_FALSE(plain);
  EXPECT_NE(plain.error().message.find("admin.auth.users.anna"), std::string::npos);
  EXPECT_EQ(plain.error().message.find("correct"), std::string::npos)
      << "a plain password was shown";
  EXPECT_FALSE(Authenticator::create({}));
}

TEST(Password, Hashes) {
  EXPECT_TRUE(services::verify_password(argon2("a"), "a"));
  EXPECT_FALSE(services::verify_password(argon2("a"), "b"));
  EXPECT_TRUE(services::verify_password(bcrypt("a"), "a"));
  EXPECT_FALSE(services::verify_password(bcrypt("a"), "b"));
  EXPECT_FALSE(services::verify_password(bcrypt("a"), std::string("a\0b", 3)));
  EXPECT_FALSE(services::verify_password(argon2("a"), std::string(2000, 'a')));
  EXPECT_FALSE(services::verify_password("$argon2id$junk", "a"));
  EXPECT_FALSE(services::verify_password("a", "a"));
  // From OpenBSD's test vectors, as Go's bcrypt writes them in Loom files.
  EXPECT_TRUE(services::verify_password(
      "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U"));
}

}  // namespace
}  // namespace heddle::admin
