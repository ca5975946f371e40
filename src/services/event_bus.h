// Events between plugins, and from plugins to whoever watches: `emit_event` of route plugins.
// Delivery is best effort: a subscriber whose queue is full loses the event, which is counted.
//
// Any thread may emit; a subscriber hears of events on its own worker, in the order of each
// emitter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"

namespace heddle::net {
class Worker;
}

namespace heddle::services {

struct PluginEvent {
  std::uint64_t id = 0;  // grows with every event of the process
  std::string plugin;    // who emitted it
  std::string name;
  std::string payload;    // as it was given: UTF-8, JSON by convention
  std::int64_t time = 0;  // nanoseconds since 1970
};

struct EventLimits {
  std::size_t max_name_bytes = 256;
  std::size_t max_payload_bytes = std::size_t{64} << 10U;
  std::size_t max_queued = 1'000;       // per subscriber
  std::size_t max_per_second = 10'000;  // per plugin
};

// Whether a pattern of EventBus::subscribe() means this name.
bool event_matches(std::string_view pattern, std::string_view name);

class EventBus {
 public:
  using Handler = std::move_only_function<void(const PluginEvent&)>;
  // Destroying it ends the subscription, with what waits; on the subscriber's worker. May outlive
  // the bus.
  class Subscription {
   public:
    virtual ~Subscription() = default;
    virtual std::uint64_t dropped() const = 0;  // events that found its queue full
    // From within the handler: it hears of the next event after resume(). Worker thread.
    virtual void pause() = 0;
    virtual void resume() = 0;
    // It hears only of what waits already. Any thread.
    virtual void leave() = 0;
    // How many events wait, with the one since which it pauses. Any thread.
    virtual std::size_t unfinished() const = 0;
  };

  EventBus(const EventLimits& limits, metrics::Registry& metrics);
  ~EventBus();
  EventBus(const EventBus&) = delete;
  EventBus& operator=(const EventBus&) = delete;

  // `names`: "order.created", "order.*", "*"; empty: everything. `plugin` is the subscriber's own
  // name, whose events it does not hear; empty: it hears everybody's. A plugin has one
  // subscription: a new one takes over from the former of this name (a new version of the plugin),
  // with the events that wait there, once that one has resumed from its pause or ended.
  [[nodiscard]] std::unique_ptr<Subscription> subscribe(net::Worker& worker, std::string plugin,
                                                        std::vector<std::string> names,
                                                        Handler handler);
  // The number of subscribers that will hear of it. kInvalidArgument, kLimit.
  Result<std::size_t> emit(std::string_view plugin, std::string_view name,
                           std::string_view payload);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace heddle::services
