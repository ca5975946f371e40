// One WebSocket of GET /events: what plugins emit (services::EventBus), and what happens to plugins
// (plugins::Event), as JSON texts, from now on.
//
//   {"type":"event","id","plugin","event","payload","time"}      payload: JSON, or a text that is
//   none
//   {"type":"state","plugin","event","message","time"}           as GET /events lists them
//   {"type":"dropped","count"}                                   the client read too slowly
//
// `?names=order.*,invoice.paid` chooses among the events of plugins. What the client says is not
// looked at. Admin worker only.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "http/stream.h"
#include "http/websocket_frames.h"
#include "net/timer.h"
#include "plugins/registry.h"
#include "services/event_bus.h"

namespace heddle::net {
class Worker;
}

namespace heddle::admin {

class EventStream {
 public:
  // The 101 has been sent. `events` may be null: there are none of plugins. `lost`: the stream was
  // reset, and `sender` says nothing any more.
  EventStream(net::Worker& worker, services::EventBus* events, http::Sender& sender,
              std::string_view query, std::function<void()> lost);
  EventStream(const EventStream&) = delete;
  EventStream& operator=(const EventStream&) = delete;

  void tell(const plugins::Event& event);
  void on_bytes(std::string_view bytes);
  void on_end() { close(1000); }
  void on_writable();
  // Says goodbye; the client closes, or loses the connection soon.
  void close(std::uint16_t code);

 private:
  void tell(const services::PluginEvent& event);
  void send(std::string_view text);
  void write(std::string_view bytes, bool end);
  void ping();
  void give_up();

  net::Worker& worker_;
  http::Sender& sender_;
  std::function<void()> lost_;
  std::unique_ptr<services::EventBus::Subscription> subscription_;
  http::WebSocketReader reader_;
  net::Timer timer_;  // of the next ping; behind close(): of giving up
  std::uint64_t dropped_ = 0;
  bool heard_ = true;  // since the last ping
  bool closed_ = false;
};

}  // namespace heddle::admin
