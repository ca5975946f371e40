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
    wake();
    return true;
  }

  // Before anybody else knows of it. `former` is in no list any more, so nothing comes there later.
  void take_over(Subscriber& former) {
    const std::scoped_lock lock(mutex_, former.mutex_);
    for (EventPtr& event : std::exchange(former.queue_, {})) {
      if (wants(*event)) queue_.push_back(std::move(event));
    }
    held_ = former.held_ || former.busy_ || former.paused_;
    if (held_) former.successor_ = shared_from_this();
    wake();
  }

  void pause() {
    const std::lock_guard lock(mutex_);
    paused_ = true;
  }

  void resume() {
    change([this] { paused_ = false; });
  }
  // Those before it have ended.
  void release() {
    change([this] { held_ = false; });
  }
  void end() {
    change([this] {
      worker_ = nullptr;
      queue_.clear();
      paused_ = false;
    });
  }

  std::size_t unfinished() const {
    const std::lock_guard lock(mutex_);
    return queue_.size() + (busy_ || paused_ ? 1 : 0);
  }
  std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  // With mutex_ held.
  void wake() {
    if (posted_ || paused_ || held_ || worker_ == nullptr || queue_.empty()) return;
    posted_ = true;
    worker_->post([self = shared_from_this()] { self->deliver(); });
  }

  // And what follows from it: the next event, here or at the successor.
  template <typename Change>
  void change(Change how) {
    std::shared_ptr<Subscriber> successor;
    {
      const std::lock_guard lock(mutex_);
      how();
      wake();
      if (!held_ && !busy_ && !paused_) successor = std::exchange(successor_, nullptr);
    }
    if (successor) successor->release();
  }

  EventPtr next() {
    const std::lock_guard lock(mutex_);
    if (paused_ || held_ || worker_ == nullptr || queue_.empty()) {
      posted_ = false;
      return nullptr;
    }
    EventPtr out = std::move(queue_.front());
    queue_.pop_front();
    busy_ = true;
    return out;
  }

  void deliver() {
    while (const EventPtr event = next()) {
      handler_(*event);
      change([this] { busy_ = false; });
    }
  }

  mutable std::mutex mutex_;
  net::Worker* worker_;  // guarded by mutex_, as what follows; null: ended
  std::deque<EventPtr> queue_;
  bool posted_ = false;
  bool busy_ = false;  // in the handler
  bool paused_ = false;
  bool held_ = false;                      // by the former subscribers of its name
  std::shared_ptr<Subscriber> successor_;  // which it holds
  const std::string plugin_;
  const std::vector<std::string> names_;
  EventBus::Handler handler_;  // the worker's thread
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
  SubscriptionOf(std::shared_ptr<Subscriber> subscriber, std::function<void()> leave)
      : subscriber_(std::move(subscriber)), leave_(std::move(leave)) {}
  ~SubscriptionOf() override {
    leave_();
    subscriber_->end();
  }
  SubscriptionOf(const SubscriptionOf&) = delete;
  SubscriptionOf& operator=(const SubscriptionOf&) = delete;
  std::uint64_t dropped() const override { return subscriber_->dropped(); }
  void pause() override { subscriber_->pause(); }
  void resume() override { subscriber_->resume(); }
  void leave() override { leave_(); }
  std::size_t unfinished() const override { return subscriber_->unfinished(); }

 private:
  std::shared_ptr<Subscriber> subscriber_;
  std::function<void()> leave_;  // it is in the list no more
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
    auto& all = state_->subscribers;
    const auto former = subscriber->plugin().empty()
                            ? all.end()
                            : std::ranges::find(all, subscriber->plugin(), &Subscriber::plugin);
    if (former != all.end()) {
      subscriber->take_over(**former);
      all.erase(former);
    }
    all.push_back(subscriber);
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
