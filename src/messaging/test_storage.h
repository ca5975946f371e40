// For the tests of storages: each database, and a fixture with the calls that tests make.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "messaging/postgres_storage.h"
#include "messaging/sqlite_storage.h"
#include "services/postgres_open.h"
#include "services/postgres_test_server.h"

namespace heddle::messaging {

template <typename T, typename Start>
Result<T> wait_for(Start start) {
  std::promise<Result<T>> answered;
  start([&](Result<T> result) { answered.set_value(std::move(result)); });
  auto future = answered.get_future();
  if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready) std::abort();
  return future.get();
}

inline std::string key(char c) {
  std::string out(kIdentityKeyBytes, c);
  return out;
}

using Opened = Result<std::unique_ptr<Storage>>;

// Each database: a new one for each test, which may be opened several times.
class InSqlite {
 public:
  InSqlite() {
    std::string name = std::filesystem::temp_directory_path() / "heddle-messages-XXXXXX";
    folder_ = mkdtemp(name.data());
  }
  ~InSqlite() { std::filesystem::remove_all(folder_); }
  InSqlite(const InSqlite&) = delete;
  InSqlite& operator=(const InSqlite&) = delete;
  Opened open(const Quota& quota, Log& log, metrics::Registry& metrics) const {
    return make_sqlite_storage(folder_ + "/m.db", quota, log, metrics);
  }

 private:
  std::string folder_;
};

class InPostgres {
 public:
  InPostgres() {
    // NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): ends with the program
    static services::PostgresTestServer server;
    server_ = &server;
    execute("DROP SCHEMA IF EXISTS heddle_messages CASCADE");
  }
  Opened open(const Quota& quota, Log& log, metrics::Registry& metrics) const {
    return make_postgres_storage({.url = server_->url(), .timeout = timeout}, quota, log, metrics);
  }
  services::PostgresTestServer& server() { return *server_; }
  void execute(const std::string& statement) const {
    const auto connection = services::open_postgres(server_->url(), {});
    ASSERT_TRUE(connection) << connection.error().message;
    const services::PostgresResult done(PQexec(connection->get(), statement.c_str()));
    ASSERT_NE(PQresultStatus(done.get()), PGRES_FATAL_ERROR) << PQerrorMessage(connection->get());
  }

  std::chrono::milliseconds timeout{20'000};  // patient, as the machine may be busy

 private:
  services::PostgresTestServer* server_;
};

template <typename Database>
class StorageTest : public testing::Test {
 protected:
  void SetUp() override { open(); }
  void open(const Quota& quota = {}) {
    storage_.reset();
    auto made = database_.open(quota, *log_, metrics_);
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
  // Without expecting that it succeeds.
  static Result<Receipt> try_send(Storage& storage, NewMessage message) {
    auto place = wait_for<std::unique_ptr<Reservation>>(
        [&](auto done) { storage.reserve(message.recipient_key, std::move(done)); });
    if (!place) return std::unexpected(place.error());
    return wait_for<Receipt>(
        [&](auto done) { (*place)->store(std::move(message), std::move(done)); });
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
  Database database_;
  std::unique_ptr<Storage> storage_;
  std::uint64_t channel_ = 0;
};

}  // namespace heddle::messaging
