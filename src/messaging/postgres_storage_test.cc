// What only PostgreSQL has: several servers on one database, connections that break, commits that
// may not be safe.
#include "messaging/postgres_storage.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <atomic>
#include <thread>

#include "messaging/test_storage.h"

namespace heddle::messaging {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

class PostgresStorageTest : public StorageTest<InPostgres> {
 protected:
  std::unique_ptr<Storage> another_server() {
    auto out = database_.open({}, *log_, metrics_);
    EXPECT_TRUE(out) << out.error().message;
    return out ? std::move(*out) : nullptr;
  }
  // Until it succeeds, or fails as `wanted` says.
  Result<Receipt> send_until(bool wanted, const std::string& body) {
    for (int i = 0; i < 100; ++i) {
      auto out = try_send(*storage_, message(key('r'), body));
      if (out.has_value() == wanted) return out;
      std::this_thread::sleep_for(milliseconds(100));
    }
    return fail(ErrorKind::kInternal, "it did not come to that");
  }
  // Commits wait for this standby; nothing: for none. Takes effect a little later.
  void need_standby(const std::string& name) {
    database_.execute(fmt::format("ALTER SYSTEM SET synchronous_standby_names = '{}'", name));
    database_.execute("SELECT pg_reload_conf()");
  }
  void expect_no_hole(std::size_t at_least) {
    const auto all = fetch(key('r'));
    EXPECT_GE(all.size(), at_least);
    for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].seq, i + 1);
  }
};

TEST_F(PostgresStorageTest, ServersThatStartAtOnceMakeTheSchemaOnce) {
  storage_.reset();
  database_.execute("DROP SCHEMA heddle_messages CASCADE");
  std::vector<std::unique_ptr<Storage>> servers(4);
  std::vector<std::thread> threads;
  threads.reserve(servers.size());
  for (auto& server : servers) threads.emplace_back([&] { server = another_server(); });
  for (auto& thread : threads) thread.join();
  for (auto& server : servers) ASSERT_TRUE(server);
  for (auto& server : servers) EXPECT_EQ(server->secret(), servers[0]->secret());
}

TEST_F(PostgresStorageTest, ServersShareTheNumbersOfARecipient) {
  open_channel();
  const auto other = another_server();
  constexpr int kSenders = 6;
  constexpr int kEach = 40;
  std::vector<std::thread> threads;
  threads.reserve(kSenders);
  for (int t = 0; t < kSenders; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        Storage& server = t % 2 == 0 ? *storage_ : *other;
        // Every eighth is rejected by a hook.
        if (i % 8 == 7) {
          ASSERT_TRUE(wait_for<std::unique_ptr<Reservation>>(
              [&](auto done) { server.reserve(key('r'), std::move(done)); }));
          continue;
        }
        const auto sent = try_send(server, message(key('r'), fmt::format("{}.{}", t, i)));
        ASSERT_TRUE(sent) << sent.error().message;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const auto all = fetch(key('r'));
  ASSERT_EQ(all.size(), static_cast<std::size_t>(kSenders * kEach * 7 / 8));
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].seq, i + 1);
}

TEST_F(PostgresStorageTest, NoServerKeepsARecipientToItself) {
  open_channel();
  const auto other = another_server();
  std::atomic<bool> over = false;
  std::vector<std::thread> busy;
  busy.reserve(4);
  // Always one that waits, so that the lane is never idle.
  for (int t = 0; t < 4; ++t) {
    busy.emplace_back([&] {
      while (!over) ASSERT_TRUE(try_send(*storage_, message(key('r'), "busy")));
    });
  }
  for (int i = 0; i < 5; ++i) {
    const auto sent = try_send(*other, message(key('r'), "rare"));
    EXPECT_TRUE(sent) << sent.error().message;
  }
  over = true;
  for (auto& thread : busy) thread.join();
}

TEST_F(PostgresStorageTest, ANumberThatAnotherServerHoldsIsWaitedFor) {
  open_channel();
  auto held = reserve(key('r'));
  database_.timeout = milliseconds(300);
  const auto impatient = another_server();
  const auto late = try_send(*impatient, message(key('r'), "late"));
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(late.error().message, HasSubstr("another server"));
  database_.timeout = milliseconds(20'000);
  const auto patient = another_server();
  std::promise<std::uint64_t> given;
  patient->reserve(key('r'), [&](auto place) { given.set_value((*place)->seq()); });
  ASSERT_TRUE(store(*held, message(key('r'), "first")));
  EXPECT_EQ(given.get_future().get(), 2U);
}

TEST_F(PostgresStorageTest, ANumberWhoseTurnWasLostIsRefused) {
  open_channel();
  auto held = reserve(key('r'));
  database_.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'");
  const auto other = another_server();
  ASSERT_TRUE(try_send(*other, message(key('r'), "theirs")));
  const auto refused = store(*held, message(key('r'), "ours"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  EXPECT_EQ(send_until(true, "again")->seq, 2U);
}

TEST_F(PostgresStorageTest, BrokenConnectionsAreReplaced) {
  open_channel();
  for (std::size_t i = 1; i <= 5; ++i) {
    database_.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = 'heddle messages'");
    ASSERT_TRUE(send_until(true, "m"));
  }
  expect_no_hole(5);
}

TEST_F(PostgresStorageTest, ADatabaseThatIsGoneIsToldAndComesBack) {
  open_channel();
  ASSERT_TRUE(send(key('r'), "before"));
  ASSERT_TRUE(database_.server().stop());
  for (int i = 0; i < 3; ++i) {
    const auto refused = try_send(*storage_, message(key('r'), "lost"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  }
  const auto unread =
      wait_for<Mailbox>([&](auto done) { storage_->peek(key('r'), std::move(done)); });
  EXPECT_EQ(unread.error().kind, ErrorKind::kUnavailable);
  ASSERT_TRUE(database_.server().start());
  ASSERT_TRUE(send_until(true, "after"));
  EXPECT_EQ(fetch(key('r')).size(), 2U);
}

TEST_F(PostgresStorageTest, ACommitThatNoStandbyHasIsNotAcknowledged) {
  database_.timeout = milliseconds(500);
  open();
  open_channel();
  ASSERT_TRUE(send(key('r'), "before"));
  need_standby("nobody");
  for (int i = 0; i < 2; ++i) {
    const auto refused = send_until(false, "m");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  }
  need_standby("");
  ASSERT_TRUE(send_until(true, "after"));
  expect_no_hole(2);
}

TEST_F(PostgresStorageTest, ACommitThatTheServerWarnsOfIsNotAcknowledged) {
  open_channel();
  ASSERT_TRUE(send(key('r'), "before"));
  need_standby("nobody");
  Result<Receipt> refused;
  std::atomic<bool> answered = false;
  std::thread sender([&] {
    refused = send_until(false, "m");
    answered = true;
  });
  while (!answered) {
    database_.execute(
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
  }
  sender.join();
  need_standby("");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kUnavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("may not be safe"));
  ASSERT_TRUE(send_until(true, "after"));
  expect_no_hole(2);
}

TEST_F(PostgresStorageTest, AWriteThatFailsLeavesTheOthers) {
  open_channel();
  std::atomic<int> left = 100;
  std::promise<void> all;
  for (int i = 0; i < 100; ++i) {
    if (i % 10 == 5) {
      const Account impossible{.username = std::string("a\0b", 3), .identity_key = key('a')};
      storage_->create_account(impossible, [&](const Result<Account>& made) {
        EXPECT_EQ(made.error().kind, ErrorKind::kUnavailable);
        if (--left == 0) all.set_value();
      });
      continue;
    }
    storage_->reserve(key('r'), [&](Result<std::unique_ptr<Reservation>> place) {
      ASSERT_TRUE(place);
      (*place)->store(message(key('r'), "m"), [&](const Result<Receipt>& stored) {
        EXPECT_TRUE(stored) << stored.error().message;
        if (--left == 0) all.set_value();
      });
    });
  }
  all.get_future().wait();
  expect_no_hole(90);
}

TEST_F(PostgresStorageTest, ManyOldMessagesGoInParts) {
  open_channel();
  database_.execute(
      "INSERT INTO heddle_messages.messages(recipient, seq, channel, sender, encrypted, body, "
      "files, sent_at) SELECT 'x', i, 1, '', false, 'abc', '', i FROM generate_series(1, 25000) i; "
      "INSERT INTO heddle_messages.mailboxes VALUES ('x', 25000, 25000, 75000)");
  const auto expired =
      wait_for<std::uint64_t>([&](auto done) { storage_->expire(24'001, 10, std::move(done)); });
  ASSERT_TRUE(expired) << expired.error().message;
  EXPECT_EQ(*expired, 24'000U);
  database_.execute(
      "DO $$ BEGIN ASSERT (SELECT messages = 1000 AND bytes = 3000 FROM "
      "heddle_messages.mailboxes WHERE recipient = 'x'); END $$");
}

TEST_F(PostgresStorageTest, ASchemaOfAnotherVersionIsRefused) {
  database_.execute("UPDATE heddle_messages.meta SET value = '99' WHERE name = 'version'");
  const auto refused = database_.open({}, *log_, metrics_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("version 99"));
}

TEST_F(PostgresStorageTest, NobodyIsToldThePassword) {
  for (const std::string& url :
       {database_.server().url("admin", "hunter2"), std::string("postgresql://admin:hunter2 x@/y"),
        std::string("postgresql://admin:hunter2@[::1/y"),
        std::string("postgresql://admin:hunter2@host:port:port/y"),
        std::string("postgresql://admin:hunter2@/y?sslmode=hunter")}) {
    const auto refused = make_postgres_storage({.url = url}, {}, *log_, metrics_);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("message store"));
    EXPECT_THAT(refused.error().message, Not(HasSubstr("hunter2")));
  }
}

}  // namespace
}  // namespace heddle::messaging
