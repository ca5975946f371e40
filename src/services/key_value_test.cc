// State of plugins: what every store does alike, and what each does in its own way.
#include "services/key_value.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "http/test_support.h"
#include "net/blocking_pool.h"
#include "services/key_value_redis.h"
#include "services/key_value_service.h"
#include "services/key_value_sqlite.h"
#include "services/redis_test_server.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

// Whether the store is in Redis.
class KeyValueTest : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (GetParam()) {
      redis_ = std::make_unique<RedisTestServer>();
      ASSERT_TRUE(redis_->start()) << "apt-get install redis-server";
    }
    make({});
    wait_until_it_answers();
  }
  void make(const KeyValueLimits& limits) {
    auto store = redis_ ? make_redis_key_value(*parse_redis_url(redis_->url()), limits, pool_)
                        : make_sqlite_key_value(path(), limits, pool_);
    store_ = std::make_unique<KeyValueService>(std::move(store), limits, metrics_);
  }
  void wait_until_it_answers() {
    const Nanoseconds start = monotonic_now();
    while (!get("nobody", "k") && monotonic_now() - start < 20'000'000'000) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  std::string path() const { return folder_.path() + "/state/state.db"; }

  Result<KeyValue::Value> get(const std::string& plugin, const std::string& key) {
    return worker_.wait_for<KeyValue::Value>([&](net::Worker& worker, auto done) {
      return store_->get(worker, plugin, key, std::move(done));
    });
  }
  Result<KeyValue::Done> set(const std::string& plugin, const std::string& key,
                             const std::string& value) {
    return worker_.wait_for<KeyValue::Done>([&](net::Worker& worker, auto done) {
      return store_->set(worker, plugin, key, value, std::move(done));
    });
  }
  Result<bool> remove(const std::string& plugin, const std::string& key) {
    return worker_.wait_for<bool>([&](net::Worker& worker, auto done) {
      return store_->remove(worker, plugin, key, std::move(done));
    });
  }
  KeyValue::Keys list(const std::string& plugin, const std::string& prefix,
                      const std::string& after = {}, std::size_t count = 100) {
    return *worker_.wait_for<KeyValue::Keys>([&](net::Worker& worker, auto done) {
      return store_->list(worker, plugin, prefix, after, count, std::move(done));
    });
  }

  TemporaryFolder folder_;
  metrics::Registry registry_;
  ServiceMetrics metrics_{registry_};
  std::unique_ptr<RedisTestServer> redis_;
  TestWorker worker_;
  std::unique_ptr<KeyValue> store_;
  net::BlockingPool pool_{2};
};

TEST_P(KeyValueTest, KeepsValuesByPluginAndKey) {
  EXPECT_EQ(*get("a", "k"), std::nullopt);
  const std::string bytes("\0\xff'; DROP TABLE state; --", 25);
  ASSERT_TRUE(set("a", "k", bytes));
  ASSERT_TRUE(set("a", std::string("k\0", 2), ""));
  EXPECT_EQ(*get("a", "k"), bytes);
  EXPECT_EQ(*get("a", std::string("k\0", 2)), "");
  EXPECT_EQ(*get("b", "k"), std::nullopt);
  ASSERT_TRUE(set("a", "k", "other"));
  EXPECT_EQ(*get("a", "k"), "other");
  EXPECT_FALSE(*remove("b", "k"));
  EXPECT_TRUE(*remove("a", "k"));
  EXPECT_FALSE(*remove("a", "k"));
}

TEST_P(KeyValueTest, OutlivesTheServer) {
  ASSERT_TRUE(set("a", "k", "v"));
  make({});
  EXPECT_EQ(*get("a", "k"), "v");
}

TEST_P(KeyValueTest, Lists) {
  for (const char* key : {"user:1", "user:2", "user:3", "use", "user;", "\xff\xff", "\xff"}) {
    ASSERT_TRUE(set("a", key, "x"));
  }
  EXPECT_EQ(list("a", "user:"), (KeyValue::Keys{"user:1", "user:2", "user:3"}));
  EXPECT_EQ(list("a", "user:", "user:1"), (KeyValue::Keys{"user:2", "user:3"}));
  EXPECT_EQ(list("a", "user:", "user:1", 1), KeyValue::Keys{"user:2"});
  EXPECT_EQ(list("a", "").size(), 7U);
  EXPECT_EQ(list("a", "\xff"), (KeyValue::Keys{"\xff", "\xff\xff"}));
  EXPECT_TRUE(list("b", "").empty());
}

TEST_P(KeyValueTest, Limits) {
  make({.max_key_bytes = 10, .max_value_bytes = 100, .max_plugin_bytes = 250, .max_listed = 2});
  EXPECT_EQ(set("a", "", "v").error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(set("a", std::string(11, 'k'), "v").error().kind, ErrorKind::kLimit);
  EXPECT_EQ(set("a", "k", std::string(101, 'v')).error().kind, ErrorKind::kLimit);
  ASSERT_TRUE(set("a", "1", std::string(100, 'v')));
  ASSERT_TRUE(set("a", "2", std::string(100, 'v')));
  const auto full = set("a", "3", std::string(100, 'v'));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().message,
            "plugin a: state: the plugin's state would be larger than 250 bytes (state.max_size)");
  ASSERT_TRUE(set("b", "3", std::string(100, 'v')));
  ASSERT_TRUE(set("a", "2", "v"));
  ASSERT_TRUE(set("a", "3", std::string(100, 'v')));
  EXPECT_TRUE(*remove("a", "1"));
  ASSERT_TRUE(set("a", "4", std::string(100, 'v')));
  EXPECT_EQ(list("a", "").size(), 2U);
  EXPECT_EQ(metrics_.of("a", "state").errors->value(), 4U);
}

TEST_P(KeyValueTest, ClearsOnePlugin) {
  make({.max_plugin_bytes = 100});
  ASSERT_TRUE(set("a", "k", std::string(90, 'v')));
  ASSERT_TRUE(set("b", "k", "v"));
  ASSERT_TRUE(worker_.wait_for<KeyValue::Done>(
      [&](net::Worker& worker, auto done) { return store_->clear(worker, "a", std::move(done)); }));
  EXPECT_EQ(*get("a", "k"), std::nullopt);
  EXPECT_EQ(*get("b", "k"), "v");
  EXPECT_TRUE(set("a", "k", std::string(90, 'v')));
}

TEST_P(KeyValueTest, ManyCallsShareATransaction) {
  std::atomic<int> done = 0;
  std::vector<Pending> pending;
  worker_.on_worker([&] {
    for (int i = 0; i < 5'000; ++i) {
      pending.push_back(store_->set(worker_.worker, "a", std::to_string(i), "v",
                                    [&](const auto& result) { done += result ? 1 : 0; }));
    }
  });
  const Nanoseconds start = monotonic_now();
  while (done < 5'000 && monotonic_now() - start < 30'000'000'000) std::this_thread::yield();
  EXPECT_EQ(done, 5'000);
  worker_.on_worker([&] { pending.clear(); });
}

class SqliteKeyValueTest : public KeyValueTest {};
TEST_P(SqliteKeyValueTest, FilesAreForThisUserOnlyWhateverTheFolderIs) {
  namespace fs = std::filesystem;
  ASSERT_TRUE(set("p", "k", "v"));
  std::size_t files = 0;
  for (const auto& file : fs::directory_iterator(fs::path(path()).parent_path())) {
    ++files;
    EXPECT_EQ(file.status().permissions(), fs::perms::owner_read | fs::perms::owner_write)
        << file.path();
  }
  EXPECT_GE(files, 2U);  // the database and its log
}

TEST_P(SqliteKeyValueTest, AFileThatIsBroken) {
  ASSERT_TRUE(set("a", "k", "v"));
  store_.reset();
  std::filesystem::remove_all(folder_.path() + "/state");
  std::filesystem::create_directory(folder_.path() + "/state");
  std::ofstream(path()) << std::string(10'000, 'x');
  make({});
  EXPECT_EQ(get("a", "k").error().kind, ErrorKind::kIo);
  std::filesystem::remove(path());
  EXPECT_EQ(*get("a", "k"), std::nullopt);
  EXPECT_TRUE(set("a", "k", "v"));
}

class RedisKeyValueTest : public KeyValueTest {};
TEST_P(RedisKeyValueTest, AServerThatGoesAndReturns) {
  ASSERT_TRUE(set("a", "k", "v"));
  redis_->stop();
  EXPECT_EQ(get("a", "k").error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(get("a", "k").error().kind, ErrorKind::kUnavailable);
  ASSERT_TRUE(redis_->start());
  wait_until_it_answers();
  EXPECT_EQ(*get("a", "k"), std::nullopt);  // this one keeps nothing on a disk
  EXPECT_TRUE(set("a", "k", "v"));
}

TEST_P(RedisKeyValueTest, AWrongPassword) {
  store_ = make_redis_key_value(*parse_redis_url(redis_->url("wrong")), {}, pool_);
  const auto out = get("a", "k");
  ASSERT_FALSE(out);
  EXPECT_NE(out.error().message.find("Redis refuses: NOAUTH"), std::string::npos)
      << out.error().message;
}

TEST(RedisUrl, Parses) {
  const auto full = parse_redis_url("redis://ada:s:x@[::1]:7000/3");
  ASSERT_TRUE(full);
  EXPECT_EQ(full->user + "|" + full->password + "|" + full->host, "ada|s:x|::1");
  EXPECT_EQ(full->port, 7000);
  EXPECT_EQ(full->database, 3);
  EXPECT_EQ(parse_redis_url("redis://db.internal")->port, 6379);
  EXPECT_EQ(parse_redis_url("unix:///run/redis.sock")->path, "/run/redis.sock");
  for (const char* bad : {"", "redis://", "rediss://a", "redis://a:b", "redis://a/x", "a:6379"}) {
    EXPECT_FALSE(parse_redis_url(bad)) << bad;
  }
}

INSTANTIATE_TEST_SUITE_P(Only, SqliteKeyValueTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Only, RedisKeyValueTest, testing::Values(true));
INSTANTIATE_TEST_SUITE_P(Sqlite, KeyValueTest, testing::Values(false));
INSTANTIATE_TEST_SUITE_P(Redis, KeyValueTest, testing::Values(true));

}  // namespace
}  // namespace heddle::services
