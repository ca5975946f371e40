// What every storage promises, over SQLite in a file.
#include "messaging/storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <set>
#include <thread>

#include "messaging/sqlite_storage.h"

namespace heddle::messaging {
namespace {

using testing::HasSubstr;

template <typename T, typename Start>
Result<T> wait_for(Start start) {
  std::promise<Result<T>> answered;
  start([&](Result<T> result) { answered.set_value(std::move(result)); });
  auto future = answered.get_future();
  if (future.wait_for(std::chrono::seconds(20)) != std::future_status::ready) std::abort();
  return future.get();
}

std::string key(char c) {
  return std::string(kIdentityKeyBytes, c);
}

class StorageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "heddle-messages-XXXXXX";
    folder_ = mkdtemp(name.data());
    open();
  }
  void TearDown() override {
    storage_.reset();
    std::filesystem::remove_all(folder_);
  }
  void open(const Quota& quota = {}) {
    storage_.reset();
    auto made = make_sqlite_storage(folder_ + "/m.db", quota, *log_, metrics_);
    ASSERT_TRUE(made) << made.error().message;
    storage_ = std::move(*made);
  }
  std::unique_ptr<Reservation> reserve(const std::string& recipient) {
    auto out = wait_for<std::unique_ptr<Reservation>>(
        [&](auto done) { storage_->reserve(recipient, std::move(done)); });
    EXPECT_TRUE(out) << out.error().message;
    return std::move(*out);
  }
  Result<Receipt> store(Reservation& reservation, NewMessage message) {
    return wait_for<Receipt>(
        [&](auto done) { reservation.store(std::move(message), std::move(done)); });
  }
  Result<Receipt> send(const std::string& recipient, std::string body,
                       std::string repeat_key = {}) {
    const auto place = reserve(recipient);
    return store(*place, message(recipient, std::move(body), std::move(repeat_key)));
  }
  NewMessage message(const std::string& recipient, std::string body, std::string repeat_key = {}) {
    return {.recipient_key = recipient,
            .channel = channel_,
            .sender_key = key('s'),
            .body = std::move(body),
            .sent_at = 1'000,
            .repeat_key = std::move(repeat_key)};
  }
  std::vector<StoredMessage> fetch(const std::string& recipient, std::uint64_t after = 0,
                                   std::size_t limit = 1'000) {
    auto out = wait_for<std::vector<StoredMessage>>([&](auto done) {
      storage_->fetch({.recipient_key = recipient,
                       .after = after,
                       .limit = limit,
                       .max_bytes = std::size_t{1} << 20U},
                      std::move(done));
    });
    EXPECT_TRUE(out);
    return std::move(*out);
  }
  void open_channel() {
    auto opened = wait_for<OpenedChannel>([&](auto done) {
      storage_->open_channel(std::string(kChannelIdBytes, 'c'), key('s'), key('r'),
                             std::move(done));
    });
    ASSERT_TRUE(opened);
    channel_ = opened->channel.number;
  }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::string folder_;
  std::unique_ptr<Storage> storage_;
  std::uint64_t channel_ = 0;
};

TEST_F(StorageTest, AccountsAreFoundAndUnique) {
  const auto create = [&](std::string name, std::string identity) {
    return wait_for<Account>([&](auto done) {
      storage_->create_account({.username = name, .identity_key = identity, .password_hash = "h"},
                               std::move(done));
    });
  };
  const auto made = create("anna", key('a'));
  ASSERT_TRUE(made);
  EXPECT_GT(made->id, 0U);
  EXPECT_EQ(create("anna", key('b')).error().message, kUsernameTaken);
  EXPECT_EQ(create("bert", key('a')).error().message, kIdentityTaken);
  open();  // another process, as far as the file knows
  const auto found =
      wait_for<Account>([&](auto done) { storage_->account_by_name("anna", std::move(done)); });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, made->id);
  EXPECT_EQ(found->identity_key, key('a'));
  EXPECT_EQ(found->password_hash, "h");
}

TEST_F(StorageTest, ChannelOfAPairIsOne) {
  const auto open_by = [&](char id, char one, char other) {
    return wait_for<OpenedChannel>([&](auto done) {
      storage_->open_channel(std::string(kChannelIdBytes, id), key(one), key(other),
                             std::move(done));
    });
  };
  const auto first = open_by('1', 'b', 'a');
  const auto second = open_by('2', 'a', 'b');
  ASSERT_TRUE(first && second);
  EXPECT_TRUE(first->was_new);
  EXPECT_FALSE(second->was_new);
  EXPECT_EQ(second->channel.id, first->channel.id);
  EXPECT_EQ(second->channel.number, first->channel.number);
}

TEST_F(StorageTest, NumbersCountForEachRecipientAndSurvive) {
  open_channel();
  EXPECT_EQ(send(key('r'), "one")->seq, 1U);
  EXPECT_EQ(send(key('r'), "two")->seq, 2U);
  EXPECT_EQ(send(key('x'), "other")->seq, 1U);
  open();
  EXPECT_EQ(send(key('r'), "three")->seq, 3U);
  const auto all = fetch(key('r'));
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].body, "two");
  EXPECT_EQ(all[1].channel_id, std::string(kChannelIdBytes, 'c'));
  EXPECT_EQ(fetch(key('r'), 2).size(), 1U);
  EXPECT_EQ(fetch(key('r'), 0, 2).size(), 2U);
}

TEST_F(StorageTest, ANumberThatIsGivenBackIsUsedAgain) {
  open_channel();
  reserve(key('r')).reset();
  EXPECT_EQ(send(key('r'), "one")->seq, 1U);
  EXPECT_EQ(reserve(key('r'))->seq(), 2U);
  EXPECT_EQ(send(key('r'), "two")->seq, 2U);
}

TEST_F(StorageTest, ANumberIsHeldUntilItsHolderDecides) {
  open_channel();
  auto first = reserve(key('r'));
  std::promise<std::uint64_t> second;
  storage_->reserve(key('r'), [&](auto place) { second.set_value((*place)->seq()); });
  auto waiting = second.get_future();
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  first.reset();
  EXPECT_EQ(waiting.get(), 1U);
}

TEST_F(StorageTest, ARepeatGetsTheFirstAnswerAndTakesNoNumber) {
  open_channel();
  const auto first = send(key('r'), "one", "k");
  const auto again = send(key('r'), "one", "k");
  ASSERT_TRUE(first && again);
  EXPECT_FALSE(first->repeated);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(send(key('r'), "two")->seq, 2U);
  const auto known = wait_for<std::optional<Receipt>>(
      [&](auto done) { storage_->repeated("k", std::move(done)); });
  EXPECT_EQ((*known)->seq, 1U);
}

TEST_F(StorageTest, AFullMailboxRefusesUntilAcknowledged) {
  open({.messages = 2, .bytes = 100});
  open_channel();
  ASSERT_TRUE(send(key('r'), "one"));
  const auto large = send(key('r'), std::string(200, 'x'));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("mailbox_bytes"));
  EXPECT_EQ(send(key('r'), "two")->seq, 2U);
  const auto full = send(key('r'), "three");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::kLimit);
  const auto dropped = wait_for<std::uint64_t>(
      [&](auto done) { storage_->acknowledge(key('r'), 1, std::move(done)); });
  EXPECT_EQ(*dropped, 1U);
  EXPECT_EQ(send(key('r'), "three")->seq, 3U);
  const auto mailbox =
      wait_for<Mailbox>([&](auto done) { storage_->peek(key('r'), std::move(done)); });
  EXPECT_EQ(mailbox->count, 2U);
  EXPECT_EQ(mailbox->first_seq, 2U);
  EXPECT_EQ(mailbox->last_seq, 3U);
}

TEST_F(StorageTest, ManyAtOnceHaveNoHolesAndShareCommits) {
  open_channel();
  constexpr int kThreads = 8;
  constexpr int kEach = 100;
  std::atomic<int> left = kThreads * kEach;
  std::promise<void> all;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        storage_->reserve(key('r'), [&, t, i](Result<std::unique_ptr<Reservation>> place) {
          ASSERT_TRUE(place) << place.error().message;
          // Every seventh is rejected by a hook.
          if ((t + i) % 7 == 0) {
            place->reset();
            if (--left == 0) all.set_value();
            return;
          }
          (*place)->store(message(key('r'), "m"), [&](Result<Receipt> stored) {
            EXPECT_TRUE(stored) << stored.error().message;
            if (--left == 0) all.set_value();
          });
        });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  all.get_future().wait();
  const auto stored = fetch(key('r'));
  for (std::size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(stored[i].seq, i + 1);
  EXPECT_GT(stored.size(), 600U);
  EXPECT_LT(metrics_.counter("heddle_messaging_commits_total", "", {})->value(), stored.size() / 2);
}

TEST_F(StorageTest, AFailureInTheMiddleLeavesNoHole) {
  open({.messages = 1'000, .bytes = 1'000});
  open_channel();
  std::atomic<int> left = 50;
  std::promise<void> all;
  for (int i = 0; i < 50; ++i) {
    storage_->reserve(key('r'), [&, i](Result<std::unique_ptr<Reservation>> place) {
      ASSERT_TRUE(place);
      (*place)->store(message(key('r'), std::string(i == 3 ? 2'000 : 1, 'x')),
                      [&](const Result<Receipt>& /*any*/) {
                        if (--left == 0) all.set_value();
                      });
    });
  }
  all.get_future().wait();
  ASSERT_TRUE(send(key('r'), "later"));
  const auto stored = fetch(key('r'));
  for (std::size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(stored[i].seq, i + 1);
}

TEST_F(StorageTest, OldMessagesAndSessionsGo) {
  open_channel();
  ASSERT_TRUE(send(key('r'), "old", "k"));
  wait_for<std::monostate>([&](auto done) {
    storage_->add_session({.token_hash = "t", .account = 1, .expires_at = 5}, std::move(done));
  });
  const auto expired =
      wait_for<std::uint64_t>([&](auto done) { storage_->expire(2'000, 10, std::move(done)); });
  EXPECT_EQ(*expired, 1U);
  EXPECT_TRUE(fetch(key('r')).empty());
  EXPECT_EQ(send(key('r'), "new", "k")->seq, 2U);
}

TEST_F(StorageTest, AnotherServerOnTheSameFileIsNoticed) {
  open_channel();
  ASSERT_TRUE(send(key('r'), "one"));
  {
    auto other = make_sqlite_storage(folder_ + "/m.db", {}, *log_, metrics_);
    ASSERT_TRUE(other);
    auto place = wait_for<std::unique_ptr<Reservation>>(
        [&](auto done) { (*other)->reserve(key('r'), std::move(done)); });
    ASSERT_TRUE(store(**place, message(key('r'), "two")));
  }
  EXPECT_EQ(send(key('r'), "lost").error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(send(key('r'), "three")->seq, 3U);
}

}  // namespace
}  // namespace heddle::messaging
