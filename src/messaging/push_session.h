// One WebSocket of GET /v1/stream: pushes an account's messages as they come, takes
// acknowledgements.
//
//   server: {"type":"message", id, seq, …}   as GET /v1/messages shows it
//           {"type":"acknowledged","up_to","acknowledged"}
//   client: {"type":"ack","up_to"}
//
// Begins behind `?after=`; a message that was not acknowledged comes again on the next connection.
// A client that reads slowly is not pushed more than a few messages ahead. Worker thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/websocket_frames.h"
#include "messaging/api.h"

namespace heddle::messaging {

class PushSession {
 public:
  // Where the session writes; gone after end() and refuse().
  class Out {
   public:
    virtual void switch_protocols() = 0;
    virtual void refuse(const ApiAnswer& answer) = 0;  // instead
    virtual void write(std::string_view bytes) = 0;
    virtual void end() = 0;

   protected:
    ~Out() = default;
  };

  PushSession(Api& api, std::shared_ptr<const ApiRequest> request, Out& out)
      : api_(api), request_(std::move(request)), out_(&out), reader_(kMaxClientMessage) {}

  // The session lives as long as it runs.
  static Task<> run(net::Worker& worker, std::shared_ptr<PushSession> self);

  void on_bytes(std::string_view bytes);
  void on_end() { stop(); }
  void pause() { ++paused_; }
  void resume();
  void detach();  // the client has gone, and `out` with it

 private:
  static constexpr std::size_t kMaxClientMessage = 4'096;

  Task<> serve(net::Worker& worker, Account account, FetchRequest fetch);
  Task<bool> push(net::Worker& worker, Account account, FetchRequest& fetch);
  Task<bool> acknowledge(net::Worker& worker, Account account);
  Task<bool> check_token(net::Worker& worker);
  bool check_life();
  void on_message(const http::WebSocketMessage& message);
  void close(std::uint16_t code, std::string_view reason);
  void stop();
  bool over() const { return out_ == nullptr || stopped_ || request_->bell->closed(); }
  void write(http::WebSocketKind kind, std::string_view payload);

  Api& api_;
  const std::shared_ptr<const ApiRequest> request_;
  Out* out_;
  http::WebSocketReader reader_;
  std::optional<std::uint64_t> acknowledged_;  // asked for and not done yet
  std::optional<std::string> pong_;            // to be written when the client reads again
  int paused_ = 0;
  bool stopped_ = false;
  bool closed_ = false;     // a close frame went out
  bool unwelcome_ = false;  // the token has ended
  bool heard_ = true;       // since the last ping
  Nanoseconds next_ping_ = 0;
};

}  // namespace heddle::messaging
