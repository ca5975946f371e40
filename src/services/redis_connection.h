// One connection to Redis on a worker's event loop: opened at the first command, again after it
// broke. While Redis cannot be reached commands fail at once, and a new attempt is made after a
// pause that grows to two seconds. Worker thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "net/event_loop.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "net/worker.h"
#include "services/pending_call.h"

struct redisAsyncContext;
struct redisReply;

namespace heddle::net {
class BlockingPool;
}

namespace heddle::services {

// redis://[user[:password]@]host[:port][/database], or unix:///path.
struct RedisAddress {
  std::string host;  // empty: a Unix socket
  std::uint16_t port = 6379;
  std::string path;
  std::string user;
  std::string password;
  int database = 0;
};
Result<RedisAddress> parse_redis_url(std::string_view url);

class RedisConnection final : public net::Worker::Local, private net::EventLoop::Watcher {
 public:
  // Null: no answer, the connection failed or broke.
  using Answer = std::move_only_function<void(const redisReply*)>;

  // `pool` resolves the name.
  RedisConnection(net::Worker& worker, net::BlockingPool& pool, RedisAddress address);
  ~RedisConnection() override;
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // `answer` comes once, from the event loop or from within.
  void command(const std::vector<std::string>& words, Answer answer);
  // Takes what is published in `channel`, as Redis sends it: first that it is subscribed, then each
  // message. Null comes once and ends it. Nothing else may be asked on the same connection.
  void subscribe(const std::string& channel, Answer listener);
  // Breaks the connection; what waits for an answer gets none. Not from within an answer.
  void close();

 private:
  struct Hooks;
  struct Sent;
  void connect();
  void open(const std::string& host);
  struct Command {
    std::vector<std::string> words;
    Answer answer;
    bool stays = false;  // has more than one answer
  };
  void start(Command command);
  void send(Command command);
  void lost();
  void answered();
  void watch(std::uint32_t events);
  void on_events(std::uint32_t events) override;

  net::Worker& worker_;
  net::BlockingPool& pool_;
  const RedisAddress address_;
  redisAsyncContext* context_ = nullptr;  // hiredis frees it when the connection ends
  Pending resolving_;
  std::vector<Command> queued_;  // until the name is resolved
  std::size_t unanswered_ = 0;
  net::Timer timer_;
  std::uint32_t watched_ = 0;
  int fd_ = -1;
  Nanoseconds retry_at_ = 0;
  Nanoseconds pause_ = 0;
};

}  // namespace heddle::services
