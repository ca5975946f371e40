// Servers on one database tell each other through Redis whose mailboxes have news, so that who
// waits at one of them hears of what another stored. What is published names recipients, never
// what was sent.
//
// All servers of a database publish in one channel and listen there:
//
//   SERVER news KEY…   something was stored for these identity keys (base64)
//   SERVER look        news may have been missed: whoever waits is to look
//   SERVER beat        once a second; who hears its own knows that it would hear the others
//
// While its own beat is not heard a server looks into the database for everybody who waits, about
// once a second, so that news come late but come. It goes on to connect meanwhile.
#pragma once

#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/log.h"
#include "base/metrics.h"
#include "messaging/hub.h"
#include "net/timer.h"
#include "net/worker.h"
#include "services/redis_connection.h"

namespace heddle::messaging {

class Fanout {
 public:
  struct Dependencies {
    Hub& hub;             // outlives this; whoever subscribes there does so after start()
    net::Worker& worker;  // both connections are there
    net::BlockingPool& pool;
    services::RedisAddress address;
    // The same for all servers of a database and no other: databases may share a Redis, and
    // channels know no numbers of Redis' databases.
    std::string_view secret;
    Log& log;
    metrics::Registry& metrics;
  };
  explicit Fanout(const Dependencies& dependencies);
  ~Fanout();
  Fanout(const Fanout&) = delete;
  Fanout& operator=(const Fanout&) = delete;

  void start();  // the worker may not run yet
  // Publishes what is left and closes the connections. Not on a worker; the worker runs, and nobody
  // tells the hub anything any more.
  void finish();

 private:
  void tell(const std::string& recipient_key);
  void publish_news();
  void publish(std::string_view text);
  void tick();
  void listen();
  void on_reply(const redisReply* reply);
  void on_message(std::string_view text);
  void on_news(std::string_view keys);
  void came_up();
  void went_down(std::string_view why);
  void look();
  void end(const std::shared_ptr<std::promise<void>>& ended);

  Hub& hub_;
  net::Worker& worker_;
  net::BlockingPool& pool_;
  const services::RedisAddress address_;
  const std::string channel_;
  const std::string name_;  // of this server
  Log& log_;
  std::shared_ptr<metrics::Gauge> connected_;
  std::shared_ptr<metrics::Counter> published_;
  std::shared_ptr<metrics::Counter> heard_;

  std::mutex mutex_;
  std::unordered_set<std::string> news_;  // not published yet; guarded by mutex_

  // Of the worker.
  std::unique_ptr<services::RedisConnection> listener_;
  std::unique_ptr<services::RedisConnection> publisher_;
  net::Timer timer_;
  bool listening_ = false;
  bool up_ = false;      // the own beat is heard
  bool warned_ = false;  // that it is not
  bool missed_ = false;  // something was not published
  bool ending_ = false;
  Nanoseconds beat_at_ = 0;  // when it was heard last, or listening began
  Nanoseconds look_at_ = 0;
};

}  // namespace heddle::messaging
