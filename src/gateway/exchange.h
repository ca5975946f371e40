// One HTTP exchange: takes a request from the server connection, sends it through the filters to an
// origin, and the answer back through the filters to the client. The way of a request can be read
// from here downwards:
//
//   on_request -> begin: id, route, filters -> FilterChain -> chain_headers(kRequest): route anew,
//   origin Response::on_head -> FilterChain -> chain_headers(kResponse) -> server connection ->
//   finish -> write_log
//
// Lives on one worker and is used again for later requests.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "extension/exchange_info.h"
#include "extension/http_origin.h"
#include "gateway/filter_chain.h"
#include "gateway/gateway_worker.h"
#include "http/stream.h"
#include "net/timer.h"

namespace heddle::gateway {

class Exchange final : public http::Receiver, public FilterChain::Owner {
 public:
  explicit Exchange(GatewayWorker& gateway);
  ~Exchange() override = default;

  // Starts with a request head, which came in by `listener`; the exchange ends by itself.
  void begin(std::uint64_t listener, http::Sender& client, const http::ConnectionInfo& connection,
             http::HeadPtr head, bool end);

  // There is a newer snapshot than it began with (exchange_follow.cc).
  void follow();
  // That listener is gone and what came in by it has had its time. True: a tunnel, which both peers
  // have kFarewell to end.
  bool leave(std::uint64_t listener);
  static constexpr std::chrono::seconds kFarewell{2};

  // After the end: what filters log, and the access log line. With `skip_filters` only the latter.
  void write_log(bool skip_filters);
  // Ready for the next request.
  void reset();

  // The client's side (http::Receiver of the request).
  void on_informational(http::HeadPtr head) override;
  void on_head(http::HeadPtr head, bool end) override;
  void on_data(http::Buffer& data, bool end) override;
  void on_trailers(http::HeadPtr trailers) override;
  void on_reset(http::StreamError error, std::string_view detail) override;
  void on_writable() override;
  void on_complete() override;

  // FilterChain::Owner
  net::Worker& worker() override { return gateway_.worker(); }
  const extension::ExchangeInfo& info() const override { return info_; }
  void chain_headers(Side side, bool end) override;
  void chain_data(Side side, http::Buffer& data, bool end) override;
  void chain_trailers(Side side) override;
  void chain_pause(Side side) override;
  void chain_resume(Side side) override;
  void chain_overflow(Side side, const std::string& plugin) override;
  void chain_local_reply(extension::LocalReply reply, const std::string& plugin) override;
  void chain_reset(const std::string& plugin) override;
  void chain_clear_route() override { reroute_ = true; }
  void chain_keep_route(std::uint32_t changes) override { headers_version_ += changes; }
  void retain() override { ++references_; }
  void release() override;

 private:
  // The origin's side (http::Receiver of the response).
  class Response final : public http::Receiver {
   public:
    explicit Response(Exchange& exchange) : exchange_(exchange) {}
    void on_informational(http::HeadPtr head) override;
    void on_head(http::HeadPtr head, bool end) override;
    void on_data(http::Buffer& data, bool end) override;
    void on_trailers(http::HeadPtr trailers) override;
    void on_reset(http::StreamError error, std::string_view detail) override;
    void on_writable() override;
    void on_complete() override;

   private:
    Exchange& exchange_;
  };

  // A message on its way out. Its head waits while a filter may still change the length of the body
  // it announces.
  struct Outgoing {
    bool head_waits = false;
    bool head_sent = false;
    bool ended = false;
    bool promised = false;  // a length was sent though filters read the body: it must be kept
    http::Buffer pending;   // body behind a waiting head, or the last bytes of a promised length
    std::uint64_t emitted = 0;    // body bytes that left the chain
    bool has_length = false;      // the message arrived with a content-length
    std::uint64_t announced = 0;  // content-length as the message arrived
    std::uint64_t arrived = 0;    // body bytes that entered the chain
    bool ended_at_head = false;   // the message arrived without a body
    void reset();
  };

  void choose_route(http::HeaderMap& headers);
  bool may_route_anew(const http::HeaderMap& headers) const;
  bool refuse_bad_path(const http::HeaderMap& headers);
  void start_request(http::Head& head, bool end);
  void forward_request(bool end);
  void apply_strip_prefix(http::HeaderMap& headers);
  void respond(int status, std::string_view code, std::string_view message,
               std::string_view details);
  void answer_unrouted();
  void send_reply(extension::LocalReply reply);
  void to_grpc(extension::LocalReply& reply);

  Outgoing& outgoing(Side side) { return outgoing_[side == Side::kRequest ? 0 : 1]; }
  void note_arrival(Side side, const http::HeaderMap& headers, bool end);
  bool head_must_wait(Side side, http::HeaderMap& headers, bool end);
  void send_head(Side side, bool end);
  void send_data(Side side, http::Buffer&& data, bool end);
  void release_head(Side side, bool end, bool trailers);
  void repair_length(Side side, http::HeaderMap& headers);
  void keep_promise(Side side, http::Buffer& data, bool end);
  void promise_broken(Side side);

  bool may_last();
  bool adopt_current();
  bool keeps_endpoint(const config::Upstream& upstream) const;
  void wait_outdated();
  void on_outdated();
  void give_up();
  void close_tunnel();
  void farewell();

  void drop_origin(http::StreamError error);
  void origin_failed(http::StreamError error, std::string_view detail);
  config::Milliseconds timeout() const;
  void arm_timer();
  void on_timeout();
  void break_off(std::string_view details, std::string_view flags);
  // While the sender is there.
  void note_bytes();
  void finish();
  void count() const;
  std::string_view plugin_text(const std::string& plugin, std::string_view what);

  GatewayWorker& gateway_;
  std::uint64_t listener_ = 0;
  Response response_{*this};
  FilterChain chain_{*this};
  extension::ExchangeInfo info_;
  http::ConnectionInfo
      connection_;  // a copy: on_log and the access log may come after the connection has gone
  net::Timer timer_;
  net::Timer outdated_timer_;  // what it began with has changed
  std::shared_ptr<BoundSnapshot> bound_;
  const RouteEntry* route_ = nullptr;
  const RouteEntry* chain_route_ = nullptr;  // whose filters run: where the request came in
  std::string allow_;                        // of a 405
  extension::HttpOrigin* origin_ = nullptr;
  std::shared_ptr<extension::HttpOrigin> kept_origin_;  // when it is not of `bound_`
  http::Sender* client_ = nullptr;                      // null: gone
  http::Sender* upstream_ = nullptr;                    // null: none, or done
  Outgoing outgoing_[2];
  // As the client sent them, for the access log; views into the request head.
  std::string_view method_;
  std::string_view path_;
  std::string_view authority_;
  std::string_view user_agent_;
  std::string_view trace_id_;
  std::uint32_t headers_version_ = 0;  // of the request headers when the filters got them
  int references_ = 0;
  bool request_ended_ = false;  // everything of the request arrived
  bool reroute_ = false;
  bool replied_ = false;       // by Heddle or a filter, not by the origin
  std::uint32_t replies_ = 0;  // how often; a later one takes the place of those before
  bool tunnel_ = false;
  bool closing_ = false;  // the tunnel was given up, both sides have their end
  bool active_since_timer_ = false;
  bool upstream_paused_ = false;  // until the client takes more
  bool client_paused_ = false;    // until the upstream takes more
  bool finished_ = false;
  bool logged_ = false;
};

}  // namespace heddle::gateway
