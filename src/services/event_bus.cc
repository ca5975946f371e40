#include "services/event_bus.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#include "base/clock.h"
#include "base/utf8.h"
#include "http/header_map.h"
#include "net/worker.h"

namespace heddle::services {
namespace {

constexpr Nanoseconds kSecond = 1'000'000'000;

using EventPtr = std::shared_ptr<const PluginEvent>;

class Subscriber : public std::enable_shared_from_this<Subscriber> {
 public:
  Subscriber(net::Worker& worker, std::string plugin, std::vector<std::string> names,
             EventBus::Handler handler, std::size_t max_queued,
             std::shared_ptr<metrics::Counter> dropped)
      : worker_(&worker),
        plugin_(std::move(plugin)),
        names_(std::move(names)),
        handler_(std::move(handler)),
        max_queued_(max_queued),
        dropped_total_(std::move(dropped)) {}

  const std::string& plugin() const { return plugin_; }

  bool wants(const PluginEvent& event) const {
    if (!plugin_.empty() && plugin_ == event.plugin) return false;
    return names_.empty() || std::ranges::any_of(names_, [&event](const std::string& pattern) {
             return event_matches(pattern, event.name);
           });
  }

  // False: the queue is full, or nobody listens any more.
  bool push(const EventPtr& event) {
    const std::lock_guard lock(mutex_);
    if (worker_ == nullptr) return false;
    if (queue_.size() >= max_queued_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      dropped_total_->add();
      return false;
    }
    queue_.push_back(event);
    if (!std::exchange(posted_, true)) {
      worker_->post([self = shared_from_this()] { self->deliver(); });
    }
    return true;
  }

  void end() {
    ended_ = true;
    const std::lock_guard lock(mutex_);
    worker_ = nullptr;
    queue_.clear();
  }

  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  void deliver() {
    std::deque<EventPtr> events;
    {
      const std::lock_guard lock(mutex_);
      events.swap(queue_);
      posted_ = false;
    }
    for (const EventPtr& event : events) {
      if (ended_) return;
      handler_(*event);
    }
  }

  std::mutex mutex_;
  net::Worker* worker_;         // guarded by mutex_; null: ended
  std::deque<EventPtr> queue_;  // guarded by mutex_
  bool posted_ = false;         // guarded by mutex_
  const std::string plugin_;
  const std::vector<std::string> names_;
  EventBus::Handler handler_;  // the worker's thread
  bool ended_ = false;         // the worker's thread
  const std::size_t max_queued_;
  std::atomic<std::uint64_t> dropped_ = 0;
  std::shared_ptr<metrics::Counter> dropped_total_;
};

}  // namespace

bool event_matches(std::string_view pattern, std::string_view name) {
  if (pattern == "*") return true;
  if (!pattern.ends_with(".*")) return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

struct EventBus::State {
  State(const EventLimits& l, metrics::Registry& r) : limits(l), registry(r) {}

  // What one plugin emitted in the second that runs.
  struct Rate {
    Nanoseconds since = 0;
    std::size_t count = 0;
  };
  bool may_emit(std::string_view plugin) {
    Rate& rate = rates[std::string(plugin)];
    const Nanoseconds now = monotonic_now();
    if (now - rate.since >= kSecond) rate = {.since = now, .count = 0};
    return ++rate.count <= limits.max_per_second;
  }

  const EventLimits limits;
  metrics::Registry& registry;
  std::mutex mutex;
  std::vector<std::shared_ptr<Subscriber>> subscribers;  // guarded by mutex, as what follows
  std::map<std::string, Rate> rates;
  std::uint64_t last_id = 0;
};

namespace {

class SubscriptionOf final : public EventBus::Subscription {
 public:
  SubscriptionOf(std::shared_ptr<Subscriber> subscriber, std::move_only_function<void()> leave)
      : subscriber_(std::move(subscriber)), leave_(std::move(leave)) {}
  ~SubscriptionOf() override {
    subscriber_->end();
    leave_();
  }
  SubscriptionOf(const SubscriptionOf&) = delete;
  SubscriptionOf& operator=(const SubscriptionOf&) = delete;
  std::uint64_t dropped() const override { return subscriber_->dropped(); }

 private:
  std::shared_ptr<Subscriber> subscriber_;
  std::move_only_function<void()> leave_;
};

}  // namespace

EventBus::EventBus(const EventLimits& limits, metrics::Registry& metrics)
    : state_(std::make_shared<State>(limits, metrics)) {}

EventBus::~EventBus() = default;

std::unique_ptr<EventBus::Subscription> EventBus::subscribe(net::Worker& worker, std::string plugin,
                                                            std::vector<std::string> names,
                                                            Handler handler) {
  auto dropped = state_->registry.counter("heddle_events_dropped_total",
                                          "Events that found the queue of a subscriber full.",
                                          {{"subscriber", plugin.empty() ? "admin" : plugin}});
  auto subscriber =
      std::make_shared<Subscriber>(worker, std::move(plugin), std::move(names), std::move(handler),
                                   state_->limits.max_queued, std::move(dropped));
  {
    const std::lock_guard lock(state_->mutex);
    std::erase_if(state_->subscribers, [&](const auto& each) {
      return !each->plugin().empty() && each->plugin() == subscriber->plugin();
    });
    state_->subscribers.push_back(subscriber);
  }
  return std::make_unique<SubscriptionOf>(
      subscriber, [weak = std::weak_ptr(state_), gone = subscriber.get()] {
        const auto state = weak.lock();
        if (!state) return;
        const std::lock_guard lock(state->mutex);
        std::erase_if(state->subscribers, [gone](const auto& each) { return each.get() == gone; });
      });
}

Result<std::size_t> EventBus::emit(std::string_view plugin, std::string_view name,
                                   std::string_view payload) {
  const EventLimits& limits = state_->limits;
  if (!http::is_token(name)) {
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("plugin {}: an event needs a name of letters, digits and . - _", plugin));
  }
  if (name.size() > limits.max_name_bytes || payload.size() > limits.max_payload_bytes) {
    return fail(ErrorKind::kLimit,
                fmt::format("plugin {}: event {}: name or payload is larger than {} and {} bytes "
                            "(events.max_payload)",
                            plugin, name.substr(0, limits.max_name_bytes), limits.max_name_bytes,
                            limits.max_payload_bytes));
  }
  if (!is_utf8(payload)) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("plugin {}: event {}: the payload is not UTF-8; send bytes as base64",
                            plugin, name));
  }
  auto event = std::make_shared<PluginEvent>(PluginEvent{.plugin = std::string(plugin),
                                                         .name = std::string(name),
                                                         .payload = std::string(payload),
                                                         .time = wall_now()});
  const std::lock_guard lock(state_->mutex);
  if (!state_->may_emit(plugin)) {
    return fail(ErrorKind::kLimit, fmt::format("plugin {}: more than {} events in a second "
                                               "(events.max_per_second)",
                                               plugin, limits.max_per_second));
  }
  event->id = ++state_->last_id;
  std::size_t heard = 0;
  for (const auto& subscriber : state_->subscribers) {
    if (subscriber->wants(*event) && subscriber->push(event)) ++heard;
  }
  return heard;
}

}  // namespace heddle::services
