#include "messaging/sqlite_storage.h"

#include <utility>

#include "messaging/lanes.h"
#include "messaging/readers.h"
#include "messaging/sqlite_store.h"
#include "messaging/sqlite_writer.h"
#include "messaging/write_thread.h"

namespace heddle::messaging {
namespace {

constexpr std::size_t kReaders = 2;

class SqliteStorage final : public Storage {
 public:
  SqliteStorage(std::unique_ptr<WriteThread> writer, std::unique_ptr<Readers<SqliteStore>> readers,
                std::string secret, const Quota& quota)
      : secret_(std::move(secret)),
        readers_(std::move(readers)),
        writer_(std::move(writer)),
        lanes_(std::make_shared<Lanes>(Lanes::Store{
            .begin_turn =
                [this](std::string recipient, Nanoseconds /*not_before*/,
                       Reply<std::uint64_t> done) {
                  write<std::uint64_t>(
                      [r = std::move(recipient)](SqliteStore& s) { return s.last_seq(r); },
                      std::move(done));
                },
            .store =
                [this, quota](NewMessage message, std::uint64_t seq, Reply<Receipt> done) {
                  write<Receipt>([m = std::move(message), seq,
                                  quota](SqliteStore& s) { return s.store(m, seq, quota); },
                                 std::move(done));
                },
            .end_turn = nullptr})) {}

  void create_account(Account account, Reply<Account> done) override {
    write<Account>([a = std::move(account)](SqliteStore& s) { return s.create_account(a); },
                   std::move(done));
  }
  void account_by_name(std::string username, Reply<Account> done) override {
    read<Account>([n = std::move(username)](SqliteStore& s) { return s.account_by_name(n); },
                  std::move(done));
  }
  void account_by_key(std::string key, Reply<Account> done) override {
    read<Account>([k = std::move(key)](SqliteStore& s) { return s.account_by_key(k); },
                  std::move(done));
  }
  void add_session(Session session, Reply<std::monostate> done) override {
    write<std::monostate>([x = std::move(session)](SqliteStore& s) { return s.add_session(x); },
                          std::move(done));
  }
  void session(std::string token_hash, Reply<LoggedIn> done) override {
    read<LoggedIn>([h = std::move(token_hash)](SqliteStore& s) { return s.session(h); },
                   std::move(done));
  }
  void remove_session(std::string token_hash, Reply<std::monostate> done) override {
    write<std::monostate>(
        [h = std::move(token_hash)](SqliteStore& s) { return s.remove_session(h); },
        std::move(done));
  }
  void open_channel(std::string id, std::string one, std::string other,
                    Reply<OpenedChannel> done) override {
    if (other < one) one.swap(other);
    write<OpenedChannel>([i = std::move(id), low = std::move(one), high = std::move(other)](
                             SqliteStore& s) { return s.open_channel(i, low, high); },
                         std::move(done));
  }
  void channel(std::string id, Reply<Channel> done) override {
    read<Channel>([i = std::move(id)](SqliteStore& s) { return s.channel(i); }, std::move(done));
  }
  void repeated(std::string key, Reply<std::optional<Receipt>> done) override {
    read<std::optional<Receipt>>([k = std::move(key)](SqliteStore& s) { return s.repeated(k); },
                                 std::move(done));
  }
  void reserve(std::string recipient, Reply<std::unique_ptr<Reservation>> done) override {
    lanes_->reserve(std::move(recipient), std::move(done));
  }
  void fetch(Fetch fetch, Reply<std::vector<StoredMessage>> done) override {
    read<std::vector<StoredMessage>>([f = std::move(fetch)](SqliteStore& s) { return s.fetch(f); },
                                     std::move(done));
  }
  void peek(std::string recipient, Reply<Mailbox> done) override {
    read<Mailbox>([r = std::move(recipient)](SqliteStore& s) { return s.peek(r); },
                  std::move(done));
  }
  void acknowledge(std::string recipient, std::uint64_t up_to, Reply<std::uint64_t> done) override {
    write<std::uint64_t>(
        [r = std::move(recipient), up_to](SqliteStore& s) { return s.acknowledge(r, up_to); },
        std::move(done));
  }
  void expire(std::int64_t sent_before, std::int64_t now, Reply<std::uint64_t> done) override {
    write<std::uint64_t>([sent_before, now](SqliteStore& s) { return s.expire(sent_before, now); },
                         std::move(done));
  }
  const std::string& secret() const override { return secret_; }

 private:
  template <typename T, typename Work>
  void write(Work work, Reply<T> done) {
    writer_->add(std::make_unique<SqliteWriteOf<T>>(std::move(work), std::move(done)));
  }
  template <typename T, typename Work>
  void read(Work work, Reply<T> done) {
    readers_->add<T>(std::move(work), std::move(done));
  }

  const std::string secret_;
  std::unique_ptr<Readers<SqliteStore>> readers_;
  std::unique_ptr<WriteThread> writer_;
  std::shared_ptr<Lanes> lanes_;
};

}  // namespace

Result<std::unique_ptr<Storage>> make_sqlite_storage(const std::string& path, const Quota& quota,
                                                     Log& log, metrics::Registry& metrics) {
  auto store = SqliteStore::open(path);
  if (!store) return std::unexpected(std::move(store.error()));
  std::string secret = (*store)->secret();
  const auto cannot_read = [&log, path](const Error& error) {
    log.error("the message store cannot be read", {{"file", path}, {"error", error.message}});
  };
  auto readers = std::make_unique<Readers<SqliteStore>>(
      kReaders,
      [path, cannot_read] {
        auto opened = SqliteStore::open(path);
        if (!opened) cannot_read(opened.error());
        return opened;
      },
      cannot_read);
  for (std::size_t i = 0; i < kReaders; ++i) {
    auto reader = SqliteStore::open(path);
    if (!reader) return std::unexpected(std::move(reader.error()));
    readers->keep(std::move(*reader));
  }
  auto writer =
      std::make_unique<WriteThread>([writer = SqliteWriter(path, std::move(*store), log)](
                                        auto batch) mutable { return writer.commit(batch); },
                                    metrics);
  return std::make_unique<SqliteStorage>(std::move(writer), std::move(readers), std::move(secret),
                                         quota);
}

}  // namespace heddle::messaging
