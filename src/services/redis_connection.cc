#include "services/redis_connection.h"

#include <fmt/format.h>
#include <hiredis/async.h>

#include <algorithm>
#include <charconv>

#include "net/address.h"
#include "net/blocking_pool.h"

namespace heddle::services {
namespace {

constexpr std::chrono::seconds kTimeout{2};  // without any answer while one is due
constexpr Nanoseconds kFirstPause = 50'000'000;
constexpr Nanoseconds kLongestPause = 2'000'000'000;

}  // namespace

Result<RedisAddress> parse_redis_url(std::string_view url) {
  const auto wrong = [] {
    return fail(ErrorKind::kInvalidArgument,
                "redis.url is neither redis://[user:password@]host[:port][/database] nor "
                "unix:///path");
  };
  RedisAddress out;
  if (url.starts_with("unix:///")) {
    out.path = url.substr(7);
    return out;
  }
  if (!url.starts_with("redis://")) return wrong();
  url.remove_prefix(8);
  if (const std::size_t at = url.rfind('@'); at != std::string_view::npos) {
    const std::string_view login = url.substr(0, at);
    const std::size_t colon = login.find(':');
    out.user = login.substr(0, colon);
    if (colon != std::string_view::npos) out.password = login.substr(colon + 1);
    url.remove_prefix(at + 1);
  }
  if (const std::size_t slash = url.find('/'); slash != std::string_view::npos) {
    const std::string_view number = url.substr(slash + 1);
    const auto [stop, error] =
        std::from_chars(number.data(), number.data() + number.size(), out.database);
    const bool whole = error == std::errc() && stop == number.data() + number.size();
    if (!whole && !number.empty()) return wrong();
    url = url.substr(0, slash);
  }
  const bool has_port = url.rfind(':') != std::string_view::npos && !url.ends_with(']');
  const auto parsed =
      net::parse_host_port(has_port ? std::string(url) : fmt::format("{}:6379", url));
  if (!parsed || parsed->host.empty()) return wrong();
  out.host = parsed->host;
  out.port = parsed->port;
  return out;
}

// What hiredis calls, as it is C.
struct RedisConnection::Hooks {
  static RedisConnection& of(void* data) { return *static_cast<RedisConnection*>(data); }
  static void add_read(void* data) { of(data).watch(of(data).watched_ | EPOLLIN); }
  static void del_read(void* data) { of(data).watch(of(data).watched_ & ~std::uint32_t{EPOLLIN}); }
  static void add_write(void* data) { of(data).watch(of(data).watched_ | EPOLLOUT); }
  static void del_write(void* data) {
    of(data).watch(of(data).watched_ & ~std::uint32_t{EPOLLOUT});
  }
  static void cleanup(void* data) { of(data).lost(); }
  // Without it hiredis does not look whether the connection came about.
  static void connected(const redisAsyncContext* /*context*/, int /*status*/) {}
};

struct RedisConnection::Sent {
  RedisConnection* connection;
  Answer answer;
  static void answered(redisAsyncContext* /*context*/, void* reply, void* data) {
    const std::unique_ptr<Sent> sent(static_cast<Sent*>(data));
    sent->connection->answered();
    sent->answer(static_cast<const redisReply*>(reply));
  }
  static void heard(redisAsyncContext* /*context*/, void* reply, void* data) {
    auto* sent = static_cast<Sent*>(data);
    if (reply != nullptr) {
      sent->connection->pause_ = 0;
      return sent->answer(static_cast<const redisReply*>(reply));
    }
    const std::unique_ptr<Sent> last(sent);
    last->answer(nullptr);
  }
};

RedisConnection::RedisConnection(net::Worker& worker, net::BlockingPool& pool, RedisAddress address)
    : worker_(worker), pool_(pool), address_(std::move(address)) {}

RedisConnection::~RedisConnection() {
  if (context_ != nullptr) redisAsyncFree(context_);
}

void RedisConnection::command(const std::vector<std::string>& words, Answer answer) {
  start({.words = words, .answer = std::move(answer)});
}

void RedisConnection::subscribe(const std::string& channel, Answer listener) {
  start({.words = {"SUBSCRIBE", channel}, .answer = std::move(listener), .stays = true});
}

void RedisConnection::close() {
  if (context_ != nullptr) redisAsyncFree(context_);
}

void RedisConnection::start(Command command) {
  if (context_ == nullptr && !resolving_) {
    if (monotonic_now() < retry_at_) return command.answer(nullptr);
    connect();
  }
  if (context_ != nullptr) return send(std::move(command));
  if (!resolving_) return command.answer(nullptr);
  queued_.push_back(std::move(command));
}

void RedisConnection::connect() {
  if (address_.host.empty() || net::SocketAddress::numeric(address_.host, 0)) {
    return open(address_.host);
  }
  auto completion = Completion<net::Resolver::Addresses>::create(
      worker_, [this](const Result<net::Resolver::Addresses>& found) {
        resolving_.reset();
        if (found) {
          open(found->front().ip());
        } else {
          lost();
        }
        for (Command& command : std::exchange(queued_, {})) {
          if (context_ != nullptr) {
            send(std::move(command));
          } else {
            command.answer(nullptr);
          }
        }
      });
  resolving_ = completion->handle();
  pool_.submit([completion, host = address_.host] {
    completion->finish(net::Resolver::system_lookup(host));
  });
}

void RedisConnection::open(const std::string& host) {
  redisAsyncContext* context = address_.host.empty()
                                   ? redisAsyncConnectUnix(address_.path.c_str())
                                   : redisAsyncConnect(host.c_str(), address_.port);
  if (context == nullptr || context->err != 0) {
    if (context != nullptr) redisAsyncFree(context);
    return lost();
  }
  context_ = context;
  fd_ = context->c.fd;
  context->ev.data = this;
  context->ev.addRead = Hooks::add_read;
  context->ev.delRead = Hooks::del_read;
  context->ev.addWrite = Hooks::add_write;
  context->ev.delWrite = Hooks::del_write;
  context->ev.cleanup = Hooks::cleanup;
  redisAsyncSetConnectCallback(context, Hooks::connected);
  // A refusal shows in the answers of what follows.
  if (!address_.password.empty() && address_.user.empty()) {
    send({.words = {"AUTH", address_.password}, .answer = [](const redisReply*) {}});
  } else if (!address_.password.empty()) {
    send({.words = {"AUTH", address_.user, address_.password}, .answer = [](const redisReply*) {}});
  }
  if (address_.database != 0) {
    send({.words = {"SELECT", std::to_string(address_.database)},
          .answer = [](const redisReply*) {}});
  }
}

void RedisConnection::send(Command command) {
  std::vector<const char*> pointers;
  std::vector<std::size_t> sizes;
  for (const std::string& word : command.words) {
    pointers.push_back(word.data());
    sizes.push_back(word.size());
  }
  auto sent = std::make_unique<Sent>(this, std::move(command.answer));
  if (redisAsyncCommandArgv(context_, command.stays ? Sent::heard : Sent::answered, sent.get(),
                            static_cast<int>(pointers.size()), pointers.data(),
                            sizes.data()) != REDIS_OK) {
    return sent->answer(nullptr);
  }
  (void)sent.release();  // comes back in answered() or heard()
  if (command.stays || unanswered_++ > 0) return;
  timer_.arm(worker_.timers(), kTimeout, [this] { close(); });
}

void RedisConnection::answered() {
  if (context_ != nullptr) pause_ = 0;
  if (--unanswered_ == 0) {
    timer_.cancel();
  } else if (timer_.armed()) {
    timer_.rearm(worker_.timers(), kTimeout);
  }
}

void RedisConnection::lost() {
  watch(0);
  context_ = nullptr;
  fd_ = -1;
  pause_ = std::clamp(pause_ * 2, kFirstPause, kLongestPause);
  retry_at_ = monotonic_now() + pause_;
}

void RedisConnection::watch(std::uint32_t events) {
  if (watched_ == events) return;
  if (watched_ != 0) worker_.loop().remove(fd_, *this);
  watched_ = events;
  if (watched_ != 0) worker_.loop().add(fd_, watched_, *this);
}

void RedisConnection::on_events(std::uint32_t events) {
  const net::Worker::Scope scope(worker_);
  if ((events & ~std::uint32_t{EPOLLOUT}) != 0) redisAsyncHandleRead(context_);
  if (context_ != nullptr && (events & EPOLLOUT) != 0) redisAsyncHandleWrite(context_);
}

}  // namespace heddle::services
