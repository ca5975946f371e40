// What other plugins emit, as this one asked for it in its manifest: each event is a call of a
// handler, one after the other, in the order in which they came. On one worker, so that each is
// handled once. What a handler returns is not looked at; that it failed is logged and counted as
// any failure. A new version goes on with the events that wait in the one before it, after the one
// that is being handled there. Worker thread only, but for retire().
#pragma once

#include <cstddef>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "contracts/route/manifest.h"
#include "contracts/route/runtime.h"
#include "contracts/route/worker_guests.h"
#include "services/event_bus.h"

namespace heddle::route {

class EventInbox {
 public:
  // References outlive it.
  EventInbox(Runtime& runtime, WorkerGuests& guests, net::Worker& worker,
             services::EventBus& events, const std::vector<ManifestEvent>& wanted);
  ~EventInbox();
  EventInbox(const EventInbox&) = delete;
  EventInbox& operator=(const EventInbox&) = delete;

  // Hears of nothing new; whether it is ready with what it has heard. Any thread.
  bool retire();

 private:
  struct Delivery {
    std::string handler;
    std::string input;
  };
  void take(const services::PluginEvent& event);
  void next();

  Runtime& runtime_;
  WorkerGuests& guests_;
  const std::vector<ManifestEvent>& wanted_;
  std::deque<Delivery> waiting_;  // of one event
  WorkerGuests::Id running_ = 0;  // 0: none
  std::shared_ptr<EventInbox*> self_ = std::make_shared<EventInbox*>(this);
  std::unique_ptr<services::EventBus::Subscription> subscription_;
};

// {"event","payload","plugin","id","time"}; a payload that is no JSON becomes a string.
std::string event_input(const services::PluginEvent& event);

}  // namespace heddle::route
