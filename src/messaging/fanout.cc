#include "messaging/fanout.h"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <utility>

#include "services/crypto.h"

namespace heddle::messaging {
namespace {

constexpr std::string_view kNews = "news";
constexpr std::string_view kLook = "look";
constexpr std::string_view kBeat = "beat";

constexpr std::size_t kKeysAtOnce = 100;  // in one message
constexpr std::size_t kNameBytes = 8;
constexpr std::chrono::seconds kBeatInterval{1};
constexpr std::chrono::seconds kSilence{3};  // that no connection lasts for
constexpr std::chrono::seconds kLookPause{1};
// Beyond it for each who waits, so that many do not load the database with nothing but looks.
constexpr std::chrono::milliseconds kLookPauseEach{1};
constexpr std::chrono::seconds kEndTimeout{1};

std::string channel_of(std::string_view secret) {
  const std::string mac =
      services::crypto_hmac(services::HashAlgorithm::kSha256, secret, "messaging.fanout");
  return "heddle:messages:" + services::hex_of(std::string_view(mac).substr(0, 16));
}

std::string random_name() {
  return services::hex_of(services::crypto_random(kNameBytes).value_or(std::string()));
}

std::string_view text_of(const redisReply& reply) {
  return reply.str == nullptr ? std::string_view() : std::string_view(reply.str, reply.len);
}

// The first word, which `text` loses.
std::string_view take_word(std::string_view& text) {
  const std::size_t end = std::min(text.find(' '), text.size());
  const std::string_view out = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return out;
}

}  // namespace

Fanout::Fanout(const Dependencies& dependencies)
    : hub_(dependencies.hub),
      worker_(dependencies.worker),
      pool_(dependencies.pool),
      address_(dependencies.address),
      channel_(channel_of(dependencies.secret)),
      name_(random_name()),
      log_(dependencies.log),
      connected_(dependencies.metrics.gauge("heddle_messaging_fanout_connected",
                                            "Whether news of other servers come through Redis",
                                            {})),
      published_(dependencies.metrics.counter("heddle_messaging_fanout_published_total",
                                              "Recipients whose news other servers were told of",
                                              {})),
      heard_(dependencies.metrics.counter("heddle_messaging_fanout_heard_total",
                                          "Recipients whose news other servers told of", {})) {}

Fanout::~Fanout() = default;

void Fanout::start() {
  hub_.tell_others([this](const std::string& recipient_key) { tell(recipient_key); });
  worker_.post([this] {
    listener_ = std::make_unique<services::RedisConnection>(worker_, pool_, address_);
    publisher_ = std::make_unique<services::RedisConnection>(worker_, pool_, address_);
    tick();
  });
}

void Fanout::tell(const std::string& recipient_key) {
  {
    const std::lock_guard lock(mutex_);
    const bool posted = !news_.empty();
    news_.insert(recipient_key);
    if (posted) return;
  }
  worker_.post([this] { publish_news(); });
}

void Fanout::publish_news() {
  std::unordered_set<std::string> news;
  {
    const std::lock_guard lock(mutex_);
    news.swap(news_);
  }
  published_->add(news.size());
  while (!news.empty()) {
    std::string text(kNews);
    for (std::size_t i = 0; i < kKeysAtOnce && !news.empty(); ++i) {
      text += ' ' + services::base64_of(news.extract(news.begin()).value());
    }
    publish(text);
  }
}

void Fanout::publish(std::string_view text) {
  if (!publisher_) return;
  publisher_->command({"PUBLISH", channel_, name_ + ' ' + std::string(text)},
                      [this, lost = text != kBeat](const redisReply* reply) {
                        if (reply == nullptr || reply->type == REDIS_REPLY_ERROR) missed_ |= lost;
                      });
}

void Fanout::tick() {
  const Nanoseconds now = monotonic_now();
  if (listening_ && now - beat_at_ > to_nanoseconds(kSilence)) listener_->close();
  if (!listening_) listen();
  publish(kBeat);
  if (!up_ && warned_ && now >= look_at_) look();
  timer_.arm(worker_.timers(), kBeatInterval, [this] {
    const net::Worker::Scope scope(worker_);
    worker_.defer([this] {
      if (!ending_) tick();
    });
  });
}

void Fanout::listen() {
  listening_ = true;
  beat_at_ = monotonic_now();
  listener_->subscribe(channel_, [this](const redisReply* reply) { on_reply(reply); });
}

void Fanout::on_reply(const redisReply* reply) {
  if (ending_) return;
  if (reply == nullptr) {
    listening_ = false;
    return went_down("it cannot be reached, or refuses (redis.url)");
  }
  if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 3) return;
  const std::string_view kind = text_of(*reply->element[0]);
  if (kind == "subscribe") publish(kBeat);
  if (kind == "message") on_message(text_of(*reply->element[2]));
}

void Fanout::on_message(std::string_view text) {
  const bool mine = take_word(text) == name_;
  const std::string_view kind = take_word(text);
  if (mine && kind == kBeat) {
    beat_at_ = monotonic_now();
    came_up();
    // What this server stored meanwhile is not known to others.
    if (std::exchange(missed_, false)) publish(kLook);
  }
  if (mine) return;
  if (kind == kNews) on_news(text);
  if (kind == kLook) hub_.ring_all();
}

void Fanout::on_news(std::string_view keys) {
  while (!keys.empty()) {
    const auto key = services::from_base64(take_word(keys));
    if (!key) continue;
    heard_->add();
    hub_.ring(*key);
  }
}

void Fanout::came_up() {
  if (std::exchange(up_, true)) return;
  connected_->set(1);
  hub_.ring_all();  // for what others stored before
  if (!std::exchange(warned_, false)) return;
  log_.info("Redis is back: other servers are heard of at once again", {});
}

void Fanout::went_down(std::string_view why) {
  if (std::exchange(up_, false)) connected_->set(0);
  if (std::exchange(warned_, true)) return;
  log_.warn("no news of other servers through Redis; looking into the database about once a second",
            {{"error", why}});
  look();
}

void Fanout::look() {
  const auto waiting = static_cast<std::int64_t>(hub_.ring_all());
  look_at_ = monotonic_now() + to_nanoseconds(kLookPause + waiting * kLookPauseEach);
}

void Fanout::finish() {
  auto ended = std::make_shared<std::promise<void>>();
  worker_.post([this, ended] {
    publish_news();
    ending_ = true;
    timer_.arm(worker_.timers(), kEndTimeout, [this, ended] {
      const net::Worker::Scope scope(worker_);
      worker_.defer([this, ended] { end(ended); });
    });
    // Its answer comes after those of the news.
    publisher_->command({"PING"}, [this, ended](const redisReply*) {
      if (!publisher_) return;
      timer_.cancel();
      worker_.post([this, ended] { end(ended); });
    });
  });
  ended->get_future().wait();
}

void Fanout::end(const std::shared_ptr<std::promise<void>>& ended) {
  if (!publisher_) return;
  timer_.cancel();
  listener_.reset();
  publisher_.reset();
  ended->set_value();
}

}  // namespace heddle::messaging
