// Several servers' fan-outs in one process, over a real Redis.
#include "messaging/fanout.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <thread>

#include "messaging/bell.h"
#include "messaging/task.h"
#include "net/blocking_pool.h"
#include "services/redis_test_server.h"
#include "services/test_support.h"

namespace heddle::messaging {
namespace {

using services::RedisTestServer;

const std::string kAnna(32, 'a');
const std::string kBert(32, 'b');

void until(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    ASSERT_LT(std::chrono::steady_clock::now(), end) << "waited 20 s";
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

// What a server has of the fan-out, and one who waits there.
class Node {
 public:
  Node(const RedisTestServer& redis, std::string_view secret, const std::string& folder,
       const std::string& password = "secret")
      : log_(*Log::create(LogLevel::kInfo, LogFormat::kText, folder + "/log")),
        fanout_({.hub = hub_,
                 .worker = worker_.worker,
                 .pool = pool_,
                 .address = *services::parse_redis_url(redis.url(password)),
                 .secret = secret,
                 .log = *log_,
                 .metrics = metrics_}),
        log_file_(folder + "/log") {
    fanout_.start();
    worker_.on_worker([&] {
      bell_ = std::make_shared<Bell>(worker_.worker);
      spawn(wait(kAnna));
    });
  }
  ~Node() {
    finish();
    hub_.close();
    until([&] { return over_.load(); });
    worker_.on_worker([&] { bell_.reset(); });
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  void finish() {
    if (!std::exchange(finished_, true)) fanout_.finish();
  }
  Hub& hub() { return hub_; }
  int rung() const { return rung_; }
  bool connected() {
    return metrics_.gauge("heddle_messaging_fanout_connected", "", {})->value() == 1;
  }
  // Everything that connecting rings has been rung then.
  void wait_connected() {
    until([&] { return connected(); });
    worker_.on_worker([] {});
    settle();
  }
  // Whatever was on its way here when this is called has been rung.
  void settle() {
    worker_.on_worker([] {});
    worker_.on_worker([] {});
  }
  std::string log() {
    log_->flush();
    std::ostringstream out;
    out << std::ifstream(log_file_).rdbuf();
    return out.str();
  }

 private:
  Task<> wait(std::string recipient) {
    {
      const Hub::Subscription subscription(hub_, recipient, bell_);
      while (!bell_->closed()) {
        co_await bell_->wait(std::chrono::hours(1));
        ++rung_;
      }
    }
    over_ = true;
  }

  std::unique_ptr<Log> log_;
  metrics::Registry metrics_;
  net::BlockingPool pool_{1};
  services::TestWorker worker_;
  Hub hub_;
  Fanout fanout_;
  const std::string log_file_;
  std::shared_ptr<Bell> bell_;
  std::atomic<int> rung_ = 0;
  std::atomic<bool> over_ = false;
  bool finished_ = false;
};

class FanoutTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(redis_.start()) << "apt-get install redis-server"; }

  RedisTestServer redis_;
  services::TemporaryFolder here_;
  services::TemporaryFolder there_;
};

TEST_F(FanoutTest, NewsReachWhoWaitsElsewhere) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  const int before = there.rung();
  const int own = here.rung();
  here.hub().notify(kBert);
  here.hub().notify(kAnna);
  until([&] { return there.rung() > before; });
  there.settle();
  EXPECT_EQ(there.rung(), before + 1) << "Bert's news are none for Anna";
  here.settle();
  EXPECT_EQ(here.rung(), own + 1) << "the own news do not come back";
}

TEST_F(FanoutTest, ManyRecipientsAtATime) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  const int before = there.rung();
  for (int i = 0; i < 5'000; ++i) here.hub().notify("recipient " + std::to_string(i));
  here.hub().notify(kAnna);
  until([&] { return there.rung() > before; });
}

TEST_F(FanoutTest, AnotherDatabaseOnTheSameRedis) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  const services::TemporaryFolder folder;
  Node other(redis_, "of another database", folder.path());
  for (Node* node : {&here, &there, &other}) node->wait_connected();
  const int before = there.rung();
  const int unmoved = other.rung();
  here.hub().notify(kAnna);
  until([&] { return there.rung() > before; });
  other.settle();
  EXPECT_EQ(other.rung(), unmoved);
}

TEST_F(FanoutTest, WithoutRedisItLooksAndThenHearsAgain) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  redis_.stop();
  until([&] { return !here.connected() && !there.connected(); });
  const int before = there.rung();
  here.hub().notify(kAnna);
  until([&] { return there.rung() >= before + 3; });
  ASSERT_TRUE(redis_.start());
  here.wait_connected();
  there.wait_connected();
  until([&] { return here.log().find("Redis is back") != std::string::npos; });
  const std::string log = there.log();
  const std::size_t warning = log.find("no news of other servers through Redis");
  EXPECT_NE(warning, std::string::npos) << log;
  EXPECT_EQ(log.find("no news", warning + 1), std::string::npos)
      << "an outage is one line: " << log;
}

TEST_F(FanoutTest, WhatCouldNotBePublishedIsLookedForAfterwards) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  ASSERT_TRUE(redis_.run_cli("acl setuser default -publish"));
  const int before = there.rung();
  here.hub().notify(kAnna);
  until([&] {
    return redis_.run_cli("info commandstats | grep 'cmdstat_publish.*rejected_calls=[1-9]'");
  });
  ASSERT_TRUE(redis_.run_cli("acl setuser default +publish"));
  until([&] { return there.rung() > before; });
}

TEST_F(FanoutTest, RedisThatIsNotThereAtTheBeginning) {
  redis_.stop();
  Node here(redis_, "s", here_.path());
  until([&] { return here.rung() >= 2; });
  EXPECT_FALSE(here.connected());
  ASSERT_TRUE(redis_.start());
  here.wait_connected();
}

TEST_F(FanoutTest, RedisThatRefuses) {
  Node here(redis_, "s", here_.path(), "wrong");
  until([&] { return here.rung() >= 2; });
  EXPECT_FALSE(here.connected());
}

TEST_F(FanoutTest, WhatIsLeftIsPublishedAtTheEnd) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  const int before = there.rung();
  here.hub().notify(kAnna);
  here.finish();
  until([&] { return there.rung() > before; });
}

TEST_F(FanoutTest, TheEndDoesNotWaitForRedis) {
  Node here(redis_, "s", here_.path());
  here.wait_connected();
  redis_.pause();
  here.hub().notify(kAnna);
  here.finish();
  redis_.resume();
}

TEST_F(FanoutTest, ARedisThatHangsIsLeft) {
  Node here(redis_, "s", here_.path());
  here.wait_connected();
  redis_.pause();
  until([&] { return !here.connected(); });
  redis_.resume();
  here.wait_connected();
}

TEST_F(FanoutTest, StrangeMessagesAreNothing) {
  Node here(redis_, "s", here_.path());
  Node there(redis_, "s", there_.path());
  here.wait_connected();
  there.wait_connected();
  ASSERT_TRUE(
      redis_.run_cli("eval \"local c = redis.call('pubsub', 'channels')[1] "
                     "for _, m in ipairs({'', ' ', 'x', 'x news', 'x news  ', 'x news !', "
                     "'x other ' .. string.rep('y', 100000), 'x\\0news\\0'}) "
                     "do redis.call('publish', c, m) end\" 0"));
  const int before = there.rung();
  here.hub().notify(kAnna);
  until([&] { return there.rung() > before; });
}

}  // namespace
}  // namespace heddle::messaging
