// What every storage promises, over SQLite in a file and over a PostgreSQL server.
#include "messaging/storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <thread>

#include "messaging/test_storage.h"

namespace heddle::messaging {
namespace {

using testing::HasSubstr;

using Databases = testing::Types<InSqlite, InPostgres>;
TYPED_TEST_SUITE(StorageTest, Databases);

TYPED_TEST(StorageTest, AccountsAreFoundAndUnique) {
  const auto create = [&](const std::string& name, const std::string& identity) {
    return wait_for<Account>([&](auto done) {
      this->storage_->create_account(
          {.username = name, .identity_key = identity, .password_hash = "h"}, std::move(done));
    });
  };
  const auto made = create("anna", key('a'));
  ASSERT_TRUE(made);
  EXPECT_GT(made->id, 0U);
  EXPECT_EQ(create("anna", key('b')).error().message, kUsernameTaken);
  EXPECT_EQ(create("bert", key('a')).error().message, kIdentityTaken);
  this->open();  // another process, as far as the file knows
  const auto found = wait_for<Account>(
      [&](auto done) { this->storage_->account_by_name("anna", std::move(done)); });
  ASSERT_TRUE(found);
  EXPECT_EQ(found->id, made->id);
  EXPECT_EQ(found->identity_key, key('a'));
  EXPECT_EQ(found->password_hash, "h");
}

TYPED_TEST(StorageTest, ChannelOfAPairIsOne) {
  const auto open_by = [&](char id, char one, char other) {
    return wait_for<OpenedChannel>([&](auto done) {
      this->storage_->open_channel(std::string(kChannelIdBytes, id), key(one), key(other),
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

TYPED_TEST(StorageTest, NumbersCountForEachRecipientAndSurvive) {
  this->open_channel();
  EXPECT_EQ(this->send(key('r'), "one")->seq, 1U);
  EXPECT_EQ(this->send(key('r'), "two")->seq, 2U);
  EXPECT_EQ(this->send(key('x'), "other")->seq, 1U);
  this->open();
  EXPECT_EQ(this->send(key('r'), "three")->seq, 3U);
  const auto all = this->fetch(key('r'));
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[1].body, "two");
  EXPECT_EQ(all[1].channel_id, std::string(kChannelIdBytes, 'c'));
  EXPECT_EQ(this->fetch(key('r'), 2).size(), 1U);
  EXPECT_EQ(this->fetch(key('r'), 0, 2).size(), 2U);
}

TYPED_TEST(StorageTest, AFetchTakesWhatFitsAndAtLeastOneMessage) {
  this->open_channel();
  for (const std::size_t size : {0, 2'000, 300, 300, 300}) {
    ASSERT_TRUE(this->send(key('r'), std::string(size, 'x')));
  }
  const auto fetched = [&](std::uint64_t after, std::size_t max_bytes) {
    const auto out = wait_for<std::vector<StoredMessage>>([&](auto done) {
      this->storage_->fetch(
          {.recipient_key = key('r'), .after = after, .limit = 10, .max_bytes = max_bytes},
          std::move(done));
    });
    return out->size();
  };
  EXPECT_EQ(fetched(0, 1'000), 1U);
  EXPECT_EQ(fetched(1, 1'000), 1U);
  EXPECT_EQ(fetched(2, 600), 2U);
  EXPECT_EQ(fetched(2, 1'000), 3U);
}

TYPED_TEST(StorageTest, WhatWasSentComesBackAsItWas) {
  this->open_channel();
  std::string bytes(256, 0);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i);
  NewMessage sent = this->message(key('r'), bytes);
  sent.sender_key.clear();
  sent.encrypted = true;
  sent.files = {"a \"b\".png", "ü"};
  ASSERT_TRUE(this->try_send(*this->storage_, sent));
  const auto all = this->fetch(key('r'));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].body, bytes);
  EXPECT_EQ(all[0].sender_key, "");
  EXPECT_TRUE(all[0].encrypted);
  EXPECT_EQ(all[0].files, sent.files);
  EXPECT_EQ(all[0].sent_at, 1'000);
}

TYPED_TEST(StorageTest, SessionsAreFoundUntilTheyAreRemoved) {
  const auto account = wait_for<Account>([&](auto done) {
    this->storage_->create_account(
        {.username = "anna", .identity_key = key('a'), .password_hash = "h"}, std::move(done));
  });
  ASSERT_TRUE(wait_for<std::monostate>([&](auto done) {
    this->storage_->add_session({.token_hash = "t", .account = account->id, .expires_at = 5},
                                std::move(done));
  }));
  const auto find = [&] {
    return wait_for<Storage::LoggedIn>(
        [&](auto done) { this->storage_->session("t", std::move(done)); });
  };
  const auto found = find();
  ASSERT_TRUE(found);
  EXPECT_EQ(found->session.expires_at, 5);
  EXPECT_EQ(found->account.username, "anna");
  ASSERT_TRUE(wait_for<std::monostate>(
      [&](auto done) { this->storage_->remove_session("t", std::move(done)); }));
  EXPECT_EQ(find().error().kind, ErrorKind::kNotFound);
}

TYPED_TEST(StorageTest, ANumberThatIsGivenBackIsUsedAgain) {
  this->open_channel();
  this->reserve(key('r')).reset();
  EXPECT_EQ(this->send(key('r'), "one")->seq, 1U);
  EXPECT_EQ(this->reserve(key('r'))->seq(), 2U);
  EXPECT_EQ(this->send(key('r'), "two")->seq, 2U);
}

TYPED_TEST(StorageTest, ANumberIsHeldUntilItsHolderDecides) {
  this->open_channel();
  auto first = this->reserve(key('r'));
  std::promise<std::uint64_t> second;
  this->storage_->reserve(key('r'), [&](auto place) { second.set_value((*place)->seq()); });
  auto waiting = second.get_future();
  EXPECT_EQ(waiting.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  first.reset();
  EXPECT_EQ(waiting.get(), 1U);
}

TYPED_TEST(StorageTest, ARepeatGetsTheFirstAnswerAndTakesNoNumber) {
  this->open_channel();
  const auto first = this->send(key('r'), "one", "k");
  const auto again = this->send(key('r'), "one", "k");
  ASSERT_TRUE(first && again);
  EXPECT_FALSE(first->repeated);
  EXPECT_TRUE(again->repeated);
  EXPECT_EQ(again->id, first->id);
  EXPECT_EQ(this->send(key('r'), "two")->seq, 2U);
  const auto known = wait_for<std::optional<Receipt>>(
      [&](auto done) { this->storage_->repeated("k", std::move(done)); });
  EXPECT_EQ((*known)->seq, 1U);
}

TYPED_TEST(StorageTest, AFullMailboxRefusesUntilAcknowledged) {
  this->open({.messages = 2, .bytes = 100});
  this->open_channel();
  ASSERT_TRUE(this->send(key('r'), "one"));
  const auto large = this->send(key('r'), std::string(200, 'x'));
  ASSERT_FALSE(large);
  EXPECT_THAT(large.error().message, HasSubstr("mailbox_bytes"));
  EXPECT_EQ(this->send(key('r'), "two")->seq, 2U);
  const auto full = this->send(key('r'), "three");
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind, ErrorKind::kLimit);
  const auto dropped = wait_for<std::uint64_t>(
      [&](auto done) { this->storage_->acknowledge(key('r'), 1, std::move(done)); });
  EXPECT_EQ(*dropped, 1U);
  EXPECT_EQ(this->send(key('r'), "three")->seq, 3U);
  const auto mailbox =
      wait_for<Mailbox>([&](auto done) { this->storage_->peek(key('r'), std::move(done)); });
  EXPECT_EQ(mailbox->count, 2U);
  EXPECT_EQ(mailbox->first_seq, 2U);
  EXPECT_EQ(mailbox->last_seq, 3U);
}

TYPED_TEST(StorageTest, ManyAtOnceHaveNoHolesAndShareCommits) {
  this->open_channel();
  constexpr int kThreads = 8;
  constexpr int kEach = 100;
  std::atomic<int> left = kThreads * kEach;
  std::promise<void> all;
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        this->storage_->reserve(key('r'), [&, t, i](Result<std::unique_ptr<Reservation>> place) {
          ASSERT_TRUE(place) << place.error().message;
          // Every seventh is rejected by a hook.
          if ((t + i) % 7 == 0) {
            place->reset();
            if (--left == 0) all.set_value();
            return;
          }
          (*place)->store(this->message(key('r'), "m"), [&](Result<Receipt> stored) {
            EXPECT_TRUE(stored) << stored.error().message;
            if (--left == 0) all.set_value();
          });
        });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  all.get_future().wait();
  const auto stored = this->fetch(key('r'));
  for (std::size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(stored[i].seq, i + 1);
  EXPECT_GT(stored.size(), 600U);
  EXPECT_LT(this->metrics_.counter("heddle_messaging_commits_total", "", {})->value(),
            stored.size() / 2);
}

TYPED_TEST(StorageTest, AFailureInTheMiddleLeavesNoHole) {
  this->open({.messages = 1'000, .bytes = 1'000});
  this->open_channel();
  std::atomic<int> left = 50;
  std::promise<void> all;
  for (int i = 0; i < 50; ++i) {
    this->storage_->reserve(key('r'), [&, i](Result<std::unique_ptr<Reservation>> place) {
      ASSERT_TRUE(place);
      (*place)->store(this->message(key('r'), std::string(i == 3 ? 2'000 : 1, 'x')),
                      [&](const Result<Receipt>& /*any*/) {
                        if (--left == 0) all.set_value();
                      });
    });
  }
  all.get_future().wait();
  ASSERT_TRUE(this->send(key('r'), "later"));
  const auto stored = this->fetch(key('r'));
  for (std::size_t i = 0; i < stored.size(); ++i) ASSERT_EQ(stored[i].seq, i + 1);
}

TYPED_TEST(StorageTest, OldMessagesAndSessionsGo) {
  this->open_channel();
  ASSERT_TRUE(this->send(key('r'), "old", "k"));
  wait_for<std::monostate>([&](auto done) {
    this->storage_->add_session({.token_hash = "t", .account = 1, .expires_at = 5},
                                std::move(done));
  });
  const auto expired = wait_for<std::uint64_t>(
      [&](auto done) { this->storage_->expire(2'000, 10, std::move(done)); });
  EXPECT_EQ(*expired, 1U);
  EXPECT_TRUE(this->fetch(key('r')).empty());
  EXPECT_EQ(this->send(key('r'), "new", "k")->seq, 2U);
}

using SqliteStorageTest = StorageTest<InSqlite>;

TEST_F(SqliteStorageTest, AnotherServerOnTheSameFileIsNoticed) {
  open_channel();
  ASSERT_TRUE(send(key('r'), "one"));
  {
    auto other = database_.open({}, *log_, metrics_);
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
