#include "admin/event_stream.h"

#include <boost/json.hpp>
#include <utility>
#include <vector>

#include "admin/handlers.h"
#include "base/json_parse.h"
#include "base/json_write.h"
#include "http/buffer.h"
#include "net/worker.h"

namespace heddle::admin {
namespace {

namespace json = boost::json;
using http::WebSocketKind;

constexpr std::chrono::seconds kPingInterval{20};
constexpr std::chrono::seconds kPatience{5};  // with a client that does not answer a close
constexpr std::size_t kMaxClientMessage = 4'096;

std::vector<std::string> names_of(std::string_view query) {
  constexpr std::string_view kKey = "names=";
  std::vector<std::string> out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (!pair.starts_with(kKey)) continue;
    const std::string list = percent_decode(pair.substr(kKey.size()));
    for (std::size_t at = 0; at < list.size();) {
      const std::size_t comma = std::min(list.find(',', at), list.size());
      if (comma > at) out.push_back(list.substr(at, comma - at));
      at = comma + 1;
    }
  }
  return out;
}

json::value payload_of(const std::string& text) {
  boost::system::error_code failed;
  json::value out = parse_json(text, failed);
  return failed ? json::value(text) : out;
}

}  // namespace

EventStream::EventStream(net::Worker& worker, services::EventBus* events, http::Sender& sender,
                         std::string_view query, std::function<void()> lost)
    : worker_(worker), sender_(sender), lost_(std::move(lost)), reader_(kMaxClientMessage) {
  if (events != nullptr) {
    subscription_ = events->subscribe(worker, {}, names_of(query),
                                      [this](const services::PluginEvent& event) { tell(event); });
  }
  timer_.arm(worker_.timers(), kPingInterval, [this] { ping(); });
}

void EventStream::tell(const services::PluginEvent& event) {
  send(write_json(json::object{{"type", "event"},
                               {"id", event.id},
                               {"plugin", event.plugin},
                               {"event", event.name},
                               {"payload", payload_of(event.payload)},
                               {"time", timestamp(event.time)}}));
}

void EventStream::tell(const plugins::Event& event) {
  send(write_json(json::object{{"type", "state"},
                               {"plugin", event.plugin},
                               {"event", event.what},
                               {"message", event.message},
                               {"time", timestamp(event.time)}}));
}

// Nothing is kept for a client that does not read.
void EventStream::send(std::string_view text) {
  if (closed_) return;
  if (dropped_ > 0 || sender_.above_watermark()) {
    ++dropped_;
    return;
  }
  write(http::websocket_frame(WebSocketKind::kText, text), false);
}

void EventStream::on_writable() {
  if (dropped_ == 0 || closed_) return;
  const std::string text =
      write_json(json::object{{"type", "dropped"}, {"count", std::exchange(dropped_, 0)}});
  write(http::websocket_frame(WebSocketKind::kText, text), false);
}

void EventStream::on_bytes(std::string_view bytes) {
  heard_ = true;
  if (closed_) return;
  reader_.add(bytes);
  for (;;) {
    const auto message = reader_.next();
    if (!message) return close(message.error());
    if (!*message) return;
    if ((*message)->kind == WebSocketKind::kClose) return close(1000);
    if ((*message)->kind != WebSocketKind::kPing || sender_.above_watermark()) continue;
    write(http::websocket_frame(WebSocketKind::kPong, (*message)->payload), false);
  }
}

void EventStream::ping() {
  if (!std::exchange(heard_, false)) return give_up();
  if (!sender_.above_watermark()) write(http::websocket_frame(WebSocketKind::kPing, {}), false);
  timer_.arm(worker_.timers(), kPingInterval, [this] { ping(); });
}

void EventStream::close(std::uint16_t code) {
  if (std::exchange(closed_, true)) return;
  subscription_.reset();
  timer_.arm(worker_.timers(), kPatience, [this] { give_up(); });
  write(http::websocket_close(code, {}), true);
}

void EventStream::give_up() {
  closed_ = true;
  sender_.reset(http::StreamError::kCancelled);
  lost_();
}

void EventStream::write(std::string_view bytes, bool end) {
  http::Buffer out;
  out.append(bytes);
  sender_.send_data(std::move(out), end);
}

}  // namespace heddle::admin
