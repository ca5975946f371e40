// Users of routes: tokens made by PyJWT (testdata/jwt), passwords, keys by URL.
#include "services/user_auth.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>

#include "http/test_support.h"
#include "services/crypto.h"
#include "services/jwt_verify.h"
#include "services/outbound_http.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

constexpr std::int64_t kNow = 1'800'000'000;
const std::string kData = std::string(HEDDLE_SERVICES_TESTDATA) + "/jwt/";

std::string slurp(const std::string& name) {
  std::ifstream file(kData + name, std::ios::binary);
  std::stringstream out;
  out << file.rdbuf();
  return out.str();
}

std::string token_named(const std::string& wanted) {
  std::istringstream lines(slurp("tokens"));
  for (std::string expected, name, token; lines >> expected >> name >> token;) {
    if (name == wanted) return token;
  }
  ADD_FAILURE() << "no token " << wanted;
  return {};
}

JwtKeys file_keys() {
  JwtKeys out;
  for (const char* name : {"rsa.pem", "ec.pem", "ed.pem"}) {
    for (JwtKey& key : *parse_jwt_keys(slurp(name))) out.push_back(std::move(key));
  }
  std::string secret = slurp("secret");
  secret.pop_back();
  out.push_back(
      {.algorithm = JwtAlgorithm::kHs256, .kid = {}, .public_key = nullptr, .secret = secret});
  return out;
}

const JwtRules kRules{.algorithms = {JwtAlgorithm::kHs256, JwtAlgorithm::kRs256,
                                     JwtAlgorithm::kEs256, JwtAlgorithm::kEdDsa},
                      .issuer = "https://issuer.test",
                      .audiences = {"api"},
                      .leeway = std::chrono::seconds(30)};

// The word in the file names what the refusal speaks of.
TEST(Jwt, TokensOfAnotherLibrary) {
  JwtKeys keys = file_keys();
  keys.front().kid = "r1";
  std::istringstream lines(slurp("tokens"));
  int count = 0;
  for (std::string expected, name, token; lines >> expected >> name >> token; ++count) {
    const auto out = verify_jwt(token, keys, kRules, kNow);
    if (expected == "ok") {
      ASSERT_TRUE(out) << name << ": " << out.error().message;
      EXPECT_EQ(out->subject, "ada");
      EXPECT_NE(out->json.find(R"("role":"admin")"), std::string::npos);
      continue;
    }
    ASSERT_FALSE(out) << name;
    const std::map<std::string, std::string> words = {
        {"expired", "has expired"}, {"no_exp", "no exp"},  {"not_yet", "(nbf)"},
        {"issuer", "(iss)"},        {"audience", "(aud)"}, {"algorithm", "not accepted"},
        {"signature", "signature"}, {"crit", "(crit)"},    {"unknown_key", "no key is known"}};
    EXPECT_NE(out.error().message.find(words.at(expected)), std::string::npos)
        << name << ": " << out.error().message;
  }
  EXPECT_GT(count, 20);
}

TEST(Jwt, AnAlgorithmThatIsNotListed) {
  JwtRules rules = kRules;
  rules.algorithms = {JwtAlgorithm::kRs256};
  EXPECT_TRUE(verify_jwt(token_named("rs256"), file_keys(), rules, kNow));
  EXPECT_FALSE(verify_jwt(token_named("hs256"), file_keys(), rules, kNow));
  EXPECT_FALSE(verify_jwt(token_named("es256"), file_keys(), rules, kNow));
}

TEST(Jwt, TheClockAndItsLeeway) {
  const auto at = [](std::int64_t now) {
    return verify_jwt(token_named("es256"), file_keys(), kRules, now).has_value();
  };
  EXPECT_TRUE(at(2'000'000'029));
  EXPECT_FALSE(at(2'000'000'030));
}

TEST(Jwt, Junk) {
  const std::string good = token_named("es256");
  for (const std::string& token :
       {std::string(), std::string("."), std::string(".."), std::string("a.b.c"), good + ".x",
        good + "=", good + "\n", " " + good, std::string(20'000, 'a'), good.substr(1),
        base64url_of("[]") + ".e30.", base64url_of(R"({"alg":1})") + ".e30.",
        base64url_of(std::string(4'000, '[')) + ".e30."}) {
    EXPECT_FALSE(verify_jwt(token, file_keys(), kRules, kNow)) << token.substr(0, 50);
  }
}

TEST(Jwt, KeysOfASet) {
  const auto keys = parse_jwk_set(slurp("jwks.json"));
  ASSERT_TRUE(keys) << keys.error().message;
  // Neither the one for encryption, nor the secret, nor P-384, nor the broken, nor the weak one.
  ASSERT_EQ(keys->size(), 3U);
  for (const char* name : {"rs256", "rs256_kid", "es256", "eddsa"}) {
    EXPECT_TRUE(verify_jwt(token_named(name), *keys, kRules, kNow)) << name;
  }
  EXPECT_FALSE(verify_jwt(token_named("hs256"), *keys, kRules, kNow));
  for (const char* bad : {"", "{}", "[]", R"({"keys":[]})", R"({"keys":{}})", R"({"keys":[1]})"}) {
    EXPECT_FALSE(parse_jwk_set(bad)) << bad;
  }
}

TEST(Jwt, KeysOfFiles) {
  EXPECT_NE(parse_jwt_keys(slurp("weak.pem")).error().message.find("2048"), std::string::npos);
  EXPECT_FALSE(parse_jwt_keys("-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"));
  EXPECT_NE(parse_jwt_keys("-----BEGIN PRIVATE KEY-----").error().message.find("-pubout"),
            std::string::npos);
}

// An issuer whose keys change and which may fail.
class Issuer {
 public:
  Issuer() : thread_([this] { serve(); }) {}
  ~Issuer() {
    stopping_ = true;
    http::testing::Peer::connect(
        static_cast<std::uint16_t>(std::stoi(address().substr(address().rfind(':') + 1))));
    thread_.join();
  }
  Issuer(const Issuer&) = delete;
  Issuer& operator=(const Issuer&) = delete;
  std::string address() const { return listener_.address(); }
  std::atomic<bool> fails = false;
  std::atomic<int> fetches = 0;

 private:
  void serve() {
    for (;;) {
      http::testing::Peer peer = listener_.accept();
      if (stopping_) return;
      peer.head();
      ++fetches;
      const std::string body = slurp("jwks.json");
      peer.send(fmt::format("HTTP/1.1 {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{}",
                            fails ? "500 No" : "200 OK", body.size(), body));
    }
  }
  http::testing::PeerListener listener_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

class UserAuthTest : public testing::Test {
 public:
  ~UserAuthTest() override { pool_.reset(); }

 protected:
  Result<void> make(AuthOptions options) {
    auto made = make_user_auth(std::move(options), outbound_.get(), *pool_, *log_);
    if (!made) return std::unexpected(made.error());
    auth_ = std::move(*made);
    return {};
  }
  AuthOutcome ask(const std::string& header) {
    return *worker_.wait_for<AuthOutcome>([&](net::Worker& worker, auto done) {
      return auth_->authenticate(worker, header, address, std::move(done));
    });
  }

  metrics::Registry registry_;
  std::unique_ptr<Log> log_ = Log::null();
  std::unique_ptr<net::BlockingPool> pool_ = std::make_unique<net::BlockingPool>(2);
  std::unique_ptr<OutboundHttp> outbound_ = make_outbound_http({}, *pool_, registry_);
  std::unique_ptr<UserAuth> auth_;
  TestWorker worker_;
  std::string address = "192.0.2.1";
};

TEST_F(UserAuthTest, Tokens) {
  ASSERT_TRUE(make({.realm = "a \"b\"", .jwt = {.key_files = {kData + "ec.pem"}}}));
  const AuthOutcome good = ask("bearer  " + token_named("es256"));
  EXPECT_TRUE(good.accepted());
  EXPECT_EQ(good.subject, "ada");
  const AuthOutcome none = ask("");
  EXPECT_EQ(none.status, 401);
  EXPECT_EQ(none.www_authenticate, R"(Bearer realm="a \"b\"")");
  const AuthOutcome expired = ask("Bearer " + token_named("expired"));
  EXPECT_EQ(expired.status, 401);
  EXPECT_EQ(expired.www_authenticate, R"(Bearer realm="a \"b\"", error="invalid_token")");
  EXPECT_TRUE(expired.user_json.empty());
  for (const std::string header : {"Bearer", "Bearer ", "Basic YTpi", "Digest x", "BearerX y"}) {
    EXPECT_EQ(ask(header).status, 401) << header;
  }
}

TEST_F(UserAuthTest, Passwords) {
  // "U*U" by bcrypt (crypt_blowfish's test vectors).
  ASSERT_TRUE(make(
      {.basic = {
           .users = {{"ada", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}}}}));
  for (int i = 0; i < 2; ++i) {  // hashed, and remembered
    const AuthOutcome good = ask("Basic " + base64_of("ada:U*U"));
    EXPECT_TRUE(good.accepted());
    EXPECT_EQ(good.user_json, R"({"sub":"ada","name":"ada"})");
    for (const std::string wrong : {"ada:u*u", "ada:", "bob:U*U", "ada", ":"}) {
      EXPECT_EQ(ask("Basic " + base64_of(wrong)).status, 401) << wrong;
    }
  }
  EXPECT_EQ(ask("Basic ?").www_authenticate, R"(Basic realm="heddle", charset="UTF-8")");
  EXPECT_EQ(ask("Bearer " + token_named("es256")).status, 401);
}

TEST_F(UserAuthTest, GuessesLockAUserOutAtAnAddress) {
  ASSERT_TRUE(make(
      {.basic = {.users = {{"ada", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}},
                 .failures = 3,
                 .lockout = std::chrono::seconds(90)}}));
  const std::string right = "Basic " + base64_of("ada:U*U");
  EXPECT_TRUE(ask(right).accepted());
  for (const std::string guess : {"a", "b", "c"}) {
    EXPECT_EQ(ask("Basic " + base64_of("ada:" + guess)).status, 401);
  }
  // Also with the right password, which is remembered.
  const AuthOutcome locked = ask(right);
  EXPECT_EQ(locked.status, 429);
  EXPECT_GT(locked.retry_after, std::chrono::seconds(60));
  EXPECT_LE(locked.retry_after, std::chrono::seconds(90));
  EXPECT_TRUE(locked.www_authenticate.empty());
  address = "192.0.2.2";
  EXPECT_TRUE(ask(right).accepted());
}

TEST_F(UserAuthTest, TheSameCredentialsAtOnceAreOneGuess) {
  ASSERT_TRUE(make(
      {.basic = {.users = {{"ada", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}},
                 .failures = 2}}));
  std::promise<void> all;
  std::vector<Pending> pending;
  int accepted = 0;
  int answered = 0;
  constexpr int kRequests = 20;
  worker_.on_worker([&] {
    for (int i = 0; i < kRequests; ++i) {
      pending.push_back(auth_->authenticate(worker_.worker, "Basic " + base64_of("ada:U*U"),
                                            address, [&](Result<AuthOutcome> outcome) {
                                              if (outcome->accepted()) ++accepted;
                                              if (++answered == kRequests) all.set_value();
                                            }));
    }
  });
  all.get_future().wait();
  EXPECT_EQ(accepted, kRequests);
  worker_.on_worker([&] { pending.clear(); });
}

TEST_F(UserAuthTest, WhoIsKnownPassesWhileManyGuessesAreHashed) {
  ASSERT_TRUE(make(
      {.basic = {.users = {{"ada", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"}},
                 .failures = 10}}));
  const std::string right = "Basic " + base64_of("ada:U*U");
  EXPECT_TRUE(ask(right).accepted());
  for (int i = 0; i < 10; ++i) ask("Basic " + base64_of("eve:" + std::to_string(i)));
  // Both threads wait, so that the guesses stay.
  std::promise<void> go;
  const std::shared_future<void> gone = go.get_future().share();
  for (int i = 0; i < 2; ++i) pool_->submit([gone] { gone.wait(); });
  std::vector<Pending> pending;
  worker_.on_worker([&] {
    for (int i = 0; i < 16; ++i) {
      pending.push_back(auth_->authenticate(worker_.worker,
                                            "Basic " + base64_of(fmt::format("u{}:x", i)), address,
                                            [](const Result<AuthOutcome>& /*outcome*/) {}));
    }
  });
  EXPECT_TRUE(ask(right).accepted());
  EXPECT_EQ(ask("Basic " + base64_of("one:more")).status, 503);
  EXPECT_EQ(ask("Basic " + base64_of("eve:right")).status, 429) << "whether it is right or not";
  go.set_value();
  worker_.on_worker([&] { pending.clear(); });
}

TEST_F(UserAuthTest, KeysByUrl) {
  Issuer issuer;
  ASSERT_TRUE(make({.jwt = {.jwks_url = "http://" + issuer.address() + "/keys"}}));
  issuer.fails = true;
  EXPECT_EQ(ask("Bearer " + token_named("es256")).status, 503);
  EXPECT_EQ(ask("Bearer " + token_named("es256")).status, 503);
  EXPECT_EQ(issuer.fetches, 1);  // backs off
  issuer.fails = false;
  const Nanoseconds start = monotonic_now();
  while (!ask("Bearer " + token_named("es256")).accepted() &&
         monotonic_now() - start < 10'000'000'000) {
    std::this_thread::yield();
  }
  EXPECT_EQ(issuer.fetches, 2);
  EXPECT_TRUE(ask("Bearer " + token_named("rs256_kid")).accepted());
  // Keys that nobody knows do not make a fetch each.
  for (int i = 0; i < 20; ++i) EXPECT_EQ(ask("Bearer " + token_named("unknown_kid")).status, 401);
  EXPECT_EQ(issuer.fetches, 2);
  // Old keys serve on when the issuer is gone.
  issuer.fails = true;
  EXPECT_TRUE(ask("Bearer " + token_named("eddsa")).accepted());
}

TEST_F(UserAuthTest, WrongSettings) {
  const auto message = [this](AuthOptions options) {
    const auto out = make(std::move(options));
    return out ? std::string() : out.error().message;
  };
  EXPECT_NE(message({.jwt = {.key_files = {"/none.pem"}}}).find("/none.pem"), std::string::npos);
  EXPECT_NE(message({.jwt = {.algorithms = {"none"}}}).find("none is none of"), std::string::npos);
  EXPECT_NE(message({.jwt = {.jwks_url = "ftp://x"}}).find("jwks_url"), std::string::npos);
  EXPECT_NE(message({.basic = {.users = {{"ada", "plain"}}}}).find("auth.users.ada"),
            std::string::npos);
  EXPECT_NE(message({.jwt = {.secret_file = "/dev/null"}}).find("32 bytes"), std::string::npos);
}

}  // namespace
}  // namespace heddle::services
