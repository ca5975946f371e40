#include "gateway/tcp_connection.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "gateway/tcp_listener.h"
#include "net/timer_queue.h"
#include "telemetry/access_log.h"
#include "telemetry/trace_context.h"

namespace heddle::gateway {

using extension::Peer;

TcpConnection::TcpConnection(TcpListener& listener, const net::SocketAddress& remote)
    : listener_(listener),
      remote_(remote),
      client_(listener.gateway().worker(), *this),
      upstream_(listener.gateway().worker(), *this) {}

TcpConnection::~TcpConnection() = default;

net::Worker& TcpConnection::worker() {
  return listener_.gateway().worker();
}

void TcpConnection::start(net::Fd client, std::shared_ptr<const BoundSnapshot> snapshot) {
  connection_ = http::describe_connection(client, remote_);
  const auto id = telemetry::random_uuid();
  info_.connection = &connection_;
  info_.request_id.assign(id.data(), id.size());
  info_.start = worker().now();
  info_.start_wall = info_.start + listener_.gateway().wall_offset();
  client_.adopt(std::move(client));
  use(std::move(snapshot));
  if (entry_ == nullptr) {
    refuse("the listener is no longer in the configuration");
  } else if (!entry_->unavailable.empty()) {
    refuse(entry_->unavailable);
  } else if (auto tls = snapshot_->snapshot->tls().listener(listener_.name())) {
    client_.start_tls_server(std::move(tls));
  } else {
    open();
  }
}

void TcpConnection::client_secured(std::string_view error) {
  if (state_ != State::kHandshake) return;
  connection_.tls = true;
  if (!error.empty()) {
    listener_.handshakes().failed({.kind = client_.stream().tls_failure(),
                                   .error = error,
                                   .remote = connection_.remote_address,
                                   .local = connection_.local_address},
                                  worker().now());
    ended("tls_handshake_failed", {});
    finish();
    return;
  }
  connection_.tls_info = client_.stream().tls();
  listener_.handshakes().succeeded(*connection_.tls_info);
  open();
}

void TcpConnection::open() {
  state_ = State::kOpening;
  arm_idle();
  chain_.open(entry_->filters);
}

void TcpConnection::use(std::shared_ptr<const BoundSnapshot> snapshot) {
  snapshot_ = std::move(snapshot);
  entry_ = snapshot_->snapshot->find_tcp(listener_.name());
  if (entry_ != nullptr) info_.upstream = upstream_config().name;
}

const config::Upstream& TcpConnection::upstream_config() const {
  return *snapshot_->snapshot->upstreams()[entry_->upstream].upstream;
}

void TcpConnection::follow(const std::shared_ptr<const BoundSnapshot>& current) {
  if (state_ == State::kClosing || state_ == State::kDone || current == snapshot_) return;
  const TcpEntry* next = current->snapshot->find_tcp(listener_.name());
  if (next != nullptr && !listener_.retired() && state_ == State::kOpen &&
      next->filters == entry_->filters) {
    const config::Upstream& upstream = *current->snapshot->upstreams()[next->upstream].upstream;
    const bool kept = upstream.name == info_.upstream &&
                      std::ranges::find(upstream.endpoints, endpoint_,
                                        &config::Endpoint::address) != upstream.endpoints.end();
    if (kept) {
      drain_timer_.cancel();
      use(current);
      return;
    }
  }
  end_outdated();
}

void TcpConnection::end_outdated() {
  if (state_ == State::kClosing || state_ == State::kDone || drain_timer_.armed()) return;
  const auto& current = listener_.gateway().current();
  drain_timer_.arm(worker().timers(), current->snapshot->config().drain_timeout,
                   [this] { give_up(); });
}

void TcpConnection::give_up() {
  if (state_ == State::kClosing || state_ == State::kDone) return;
  listener_.gateway().log().info("a TCP connection is closed, since what it began with has gone",
                                 {{"listener", listener_.name()},
                                  {"request_id", info_.request_id},
                                  {"limit", "drain_timeout"}});
  close_softly("drain_timeout", {});
}

void TcpConnection::refuse(std::string_view reason) {
  listener_.gateway().log().warn("a TCP connection is refused",
                                 {{"listener", listener_.name()},
                                  {"reason", reason},
                                  {"remote", connection_.remote_address},
                                  {"request_id", info_.request_id}});
  listener_.metrics().refused->add();
  close_softly("refused", {});
}

// ---- Both ways ----

bool TcpConnection::wants_bytes(const TcpEnd& end) const {
  if (state_ == State::kClosing) return true;  // to be thrown away
  if (state_ != State::kOpen) return false;
  if (end.refused_bytes()) return true;  // what it still sent, and then its end
  const bool from_client = &end == &client_;
  const TcpEnd& other = from_client ? upstream_ : client_;
  return other.unsent() <= kHighWatermark &&
         !chain_.full(from_client ? Flow::kDownstream : Flow::kUpstream);
}

void TcpConnection::on_end_bytes(TcpEnd& end, http::Buffer&& bytes) {
  if (state_ != State::kOpen) return;
  active_at_ = worker().now();
  if (&end == &client_) count_bytes();
  chain_.feed(&end == &client_ ? Flow::kDownstream : Flow::kUpstream, std::move(bytes), false);
}

void TcpConnection::on_end_finished(TcpEnd& end) {
  if (state_ == State::kOpen) {
    active_at_ = worker().now();
    chain_.feed(&end == &client_ ? Flow::kDownstream : Flow::kUpstream, {}, true);
  } else {
    finish_if_said_farewell();
  }
}

void TcpConnection::on_filtered(Flow flow, http::Buffer&& data, bool end) {
  TcpEnd& to = flow == Flow::kDownstream ? upstream_ : client_;
  if (!data.empty()) to.write(std::move(data));
  if (end) to.finish();
}

void TcpConnection::on_filters_room(Flow flow) {
  (flow == Flow::kDownstream ? client_ : upstream_).look_again();
}

void TcpConnection::on_end_sent(TcpEnd& end) {
  active_at_ = worker().now();
  if (&end == &client_) count_bytes();
  if (state_ == State::kClosing) {
    farewell_timer_.rearm(worker().timers(), kFarewell);
    finish_if_said_farewell();
    return;
  }
  TcpEnd& other = &end == &client_ ? upstream_ : client_;
  if (end.unsent() <= kHighWatermark / 2) other.look_again();
  if (!client_.sent_all() || !upstream_.sent_all()) return;
  // Both directions ended. Whose end was passed on last is who stayed longer.
  chain_.end(&end == &client_ ? Peer::kLocal : Peer::kRemote, Peer::kUnknown, connected_);
  finish();
}

// An upstream may answer early, without reading the rest of what the client sends.
void TcpConnection::on_end_refused(TcpEnd& end, int error) {
  if (&end == &client_ || end.finished()) on_end_broken(end, error);
}

void TcpConnection::on_end_broken(TcpEnd& end, int error) {
  if (state_ == State::kClosing) return finish();
  const bool client_broke = &end == &client_;
  listener_.gateway().log().debug(
      "a TCP connection broke", {{"side", client_broke ? "client" : "upstream"},
                                 {"reason", std::strerror(error)},  // glibc's is safe on any thread
                                 {"request_id", info_.request_id}});
  end.close();
  if (client_broke) {
    chain_.end(Peer::kRemote, Peer::kLocal, connected_);
    upstream_.abort();  // it must not take what it got for the whole
    ended("client_reset", "DC");
    finish();
    return;
  }
  chain_.end(Peer::kLocal, Peer::kRemote, connected_);
  // What an end said before its FIN is whole, whatever comes behind.
  if (!end.refused_bytes() && !end.finished()) client_.finish_with_reset();
  close_softly("upstream_reset", "UC");
}

// ---- The end ----

void TcpConnection::on_filter_close(const std::string& plugin) {
  plugin_ = plugin;
  close_softly("closed_by_plugin", {});
}

void TcpConnection::on_filter_full(const std::string& plugin, std::size_t bytes) {
  listener_.gateway().log().warn(
      "a plugin holds as much of a TCP connection as its buffer_limit allows; nothing more is read "
      "until it continues",
      {{"plugin", plugin},
       {"bytes", bytes},
       {"listener", listener_.name()},
       {"request_id", info_.request_id}});
}

void TcpConnection::ended(std::string_view details, std::string_view flags) {
  details_ = details;
  info_.response_flags = flags;
}

// Sends what has left the filters, then FIN to both; what still comes is thrown away, since closing
// a socket with unread bytes resets it and may take from the peer what was sent last.
void TcpConnection::close_softly(std::string_view details, std::string_view flags) {
  if (state_ == State::kClosing || state_ == State::kDone) return;
  state_ = State::kClosing;
  ended(details, flags);
  chain_.end(Peer::kLocal, Peer::kLocal, connected_);
  idle_timer_.cancel();
  connect_timer_.cancel();
  drain_timer_.cancel();
  if (upstream_.is_open()) {
    upstream_.finish();
  } else {
    upstream_.close();
  }
  if (!client_.is_open()) return finish();
  client_.finish();
  farewell_timer_.arm(worker().timers(), kFarewell, [this] { finish(); });
}

void TcpConnection::finish_if_said_farewell() {
  if (state_ != State::kClosing) return;
  const auto done = [](const TcpEnd& end) {
    return !end.is_open() || (end.sent_all() && end.finished());
  };
  if (done(client_) && done(upstream_)) finish();
}

void TcpConnection::abort(std::string_view details) {
  if (state_ == State::kDone) return;
  if (state_ != State::kClosing) ended(details, {});
  chain_.end(Peer::kLocal, Peer::kLocal, connected_);
  client_.abort();
  upstream_.abort();
  finish();
}

void TcpConnection::finish() {
  if (state_ == State::kDone) return;
  state_ = State::kDone;
  idle_timer_.cancel();
  connect_timer_.cancel();
  drain_timer_.cancel();
  farewell_timer_.cancel();
  client_.close();
  upstream_.close();
  place_.leave();
  count_bytes();
  write_access_line();
  listener_.remove(*this);
}

// Of connections that stay open for days, too, the metrics show what passes.
void TcpConnection::count_bytes() {
  TcpMetrics& metrics = listener_.metrics();
  metrics.bytes_in->add(client_.received() - std::exchange(counted_in_, client_.received()));
  metrics.bytes_out->add(client_.sent() - std::exchange(counted_out_, client_.sent()));
}

void TcpConnection::write_access_line() {
  if (!snapshot_->snapshot->config().logging.access_log) return;
  telemetry::ConnectionRecord record;
  record.time = info_.start_wall;
  record.request_id = info_.request_id;
  record.protocol = connection_.tls ? "TLS" : "TCP";
  record.listener = listener_.name();
  record.details = details_;
  record.flags = info_.response_flags;
  record.plugin = plugin_;
  record.upstream = info_.upstream;
  record.upstream_address = info_.upstream_address;
  record.bytes_in = client_.received();
  record.bytes_out = client_.sent();
  record.duration = worker().now() - info_.start;
  record.remote = connection_.remote_address;
  listener_.gateway().write_access(record);
}

void TcpConnection::arm_idle() {
  active_at_ = worker().now();
  idle_timer_.arm(worker().timers(), entry_->listener->limits.tcp_idle_timeout,
                  [this] { on_idle(); });
}

// The time of the last bytes is a store; the timer looks at it when it fires.
void TcpConnection::on_idle() {
  const std::chrono::nanoseconds limit = entry_->listener->limits.tcp_idle_timeout;
  const Nanoseconds left = active_at_ + limit.count() - worker().now();
  if (left > 0) {
    idle_timer_.arm(worker().timers(), std::chrono::nanoseconds(left), [this] { on_idle(); });
    return;
  }
  close_softly("idle_timeout", {});
}

}  // namespace heddle::gateway
