// A connection that subscribes; commands are tested with what uses them (key_value_test.cc).
#include "services/redis_connection.h"

#include <gtest/gtest.h>
#include <hiredis/hiredis.h>

#include <chrono>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "net/blocking_pool.h"
#include "services/redis_test_server.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

class RedisSubscriptionTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(redis_.start()) << "apt-get install redis-server"; }
  void TearDown() override {
    worker_.on_worker([&] {
      subscriber_.reset();
      publisher_.reset();
    });
  }

  void subscribe(const std::string& password = "secret") {
    worker_.on_worker([&] {
      if (!subscriber_) subscriber_ = connection(password);
      subscriber_->subscribe("news", [this](const redisReply* reply) { hear(reply); });
    });
  }
  // How many heard it; -1: it could not be published.
  long long publish(const std::string& text) {
    std::promise<long long> answered;
    worker_.on_worker([&] {
      if (!publisher_) publisher_ = connection("secret");
      publisher_->command({"PUBLISH", "news", text}, [&](const redisReply* reply) {
        answered.set_value(reply == nullptr ? -1 : reply->integer);
      });
    });
    return answered.get_future().get();
  }
  // What was heard when there are so many of them.
  std::vector<std::string> heard(std::size_t count) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    for (;;) {
      {
        const std::lock_guard lock(mutex_);
        if (heard_.size() >= count || std::chrono::steady_clock::now() > until) return heard_;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
  }
  RedisTestServer redis_;
  TestWorker worker_;
  std::unique_ptr<RedisConnection> subscriber_;

 private:
  std::unique_ptr<RedisConnection> connection(const std::string& password) {
    return std::make_unique<RedisConnection>(worker_.worker, pool_,
                                             *parse_redis_url(redis_.url(password)));
  }
  void hear(const redisReply* reply) {
    const std::lock_guard lock(mutex_);
    if (reply == nullptr) {
      heard_.emplace_back("gone");
    } else {
      const redisReply& last = *reply->element[2];
      heard_.emplace_back(last.type == REDIS_REPLY_STRING ? last.str : reply->element[0]->str);
    }
  }

  net::BlockingPool pool_{1};
  std::unique_ptr<RedisConnection> publisher_;
  std::mutex mutex_;
  std::vector<std::string> heard_;  // guarded by mutex_
};

using Heard = std::vector<std::string>;

TEST_F(RedisSubscriptionTest, HearsWhatIsPublished) {
  subscribe();
  ASSERT_EQ(heard(1), Heard{"subscribe"});
  EXPECT_EQ(publish("one"), 1);
  EXPECT_EQ(publish("two"), 1);
  EXPECT_EQ(heard(3), (Heard{"subscribe", "one", "two"}));
}

TEST_F(RedisSubscriptionTest, ToldOnceThatItIsGone) {
  subscribe();
  heard(1);
  redis_.stop();
  EXPECT_EQ(heard(2), (Heard{"subscribe", "gone"}));
  subscribe();
  EXPECT_EQ(heard(3).back(), "gone") << "while there is nothing to connect to";
  ASSERT_TRUE(redis_.start());
  subscribe();
  std::size_t count = 4;
  for (; heard(count).back() == "gone" && count < 4'000; ++count) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    subscribe();
  }
  EXPECT_EQ(heard(count).back(), "subscribe");
  EXPECT_EQ(publish("again"), 1);
}

TEST_F(RedisSubscriptionTest, ClosingEndsIt) {
  subscribe();
  heard(1);
  worker_.on_worker([&] { subscriber_->close(); });
  EXPECT_EQ(heard(2), (Heard{"subscribe", "gone"}));
  EXPECT_EQ(publish("to nobody"), 0);
}

TEST_F(RedisSubscriptionTest, AWrongPassword) {
  subscribe("wrong");
  EXPECT_EQ(heard(1), Heard{"gone"});
}

}  // namespace
}  // namespace heddle::services
