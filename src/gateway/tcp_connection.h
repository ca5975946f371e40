// One proxied TCP connection: a client, the filters, an endpoint of the listener's upstream. Bytes
// go both ways with back-pressure; the end of one direction leaves the other open.
//
// accept [-> TLS] -> filters see the new connection -> connect [-> TLS] -> data both ways -> both
// ended, or broken
//
// Belongs to its listener and worker. It keeps the snapshot that it began with, until a newer one
// that means the same for it takes its place (follow()).
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "gateway/network_chain.h"
#include "gateway/tcp_end.h"
#include "gateway/tcp_upstream.h"
#include "http/server.h"
#include "net/address.h"
#include "net/resolver.h"
#include "net/timer.h"

namespace heddle::gateway {

class TcpListener;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
struct BoundSnapshot;
struct TcpEntry;
class UpstreamOrigin;

class TcpConnection final : TcpEnd::Owner, NetworkChain::Owner {
 public:
  // Unsent bytes of one end above which the other is not read.
  static constexpr std::size_t kHighWatermark = std::size_t{256} << 10U;
  // How long a closed connection may take to send what is left and to hear the client's end.
  static constexpr std::chrono::seconds kFarewell{2};

  TcpConnection(TcpListener& listener, const net::SocketAddress& remote);
  ~TcpConnection();
  TcpConnection(const TcpConnection&) = delete;
  TcpConnection& operator=(const TcpConnection&) = delete;

  // The client's socket. From here on the connection removes itself from the listener at its end.
  void start(net::Fd client, std::shared_ptr<const BoundSnapshot> snapshot);
  // There is a newer snapshot: takes it when nothing of this connection changed, else ends after
  // drain_timeout.
  void follow(const std::shared_ptr<const BoundSnapshot>& current);
  // Ends it after drain_timeout.
  void end_outdated();
  // Ends it now: both peers get what is on its way and FIN.
  void give_up();
  // Breaks it off: both peers get a reset. `details` for the access log.
  void abort(std::string_view details);

  std::size_t slot = 0;  // in the listener's list

 private:
  enum class State : std::uint8_t {
    kHandshake,   // of TLS, with the client
    kOpening,     // the filters see the new connection
    kConnecting,  // to the upstream
    kOpen,
    kClosing,  // the filters are gone; what is left is sent
    kDone,
  };

  // TcpEnd::Owner
  void on_end_connected(int error) override;
  void on_end_secured(TcpEnd& end, std::string_view error) override;
  void on_end_bytes(TcpEnd& end, http::Buffer&& bytes) override;
  void on_end_finished(TcpEnd& end) override;
  void on_end_broken(TcpEnd& end, int error) override;
  void on_end_refused(TcpEnd& end, int error) override;
  void on_end_sent(TcpEnd& end) override;
  bool wants_bytes(const TcpEnd& end) const override;

  // NetworkChain::Owner
  net::Worker& worker() override;
  const extension::ExchangeInfo& info() const override { return info_; }
  void on_filters_opened() override;
  void on_filtered(Flow flow, http::Buffer&& data, bool end) override;
  void on_filters_room(Flow flow) override;
  void on_filter_close(const std::string& plugin) override;
  void on_filter_full(const std::string& plugin, std::size_t bytes) override;

  void use(std::shared_ptr<const BoundSnapshot> snapshot);
  UpstreamOrigin& origin() const;
  const config::Upstream& upstream_config() const;
  void client_secured(std::string_view error);
  void open();
  void refuse(std::string_view reason);
  void try_next_endpoint();
  void try_next_address();
  void attempt_failed(std::string_view reason);
  void connected();
  void give_up_on_upstream(std::string_view details, std::string_view flags);
  void ended(std::string_view details, std::string_view flags);
  void close_softly(std::string_view details, std::string_view flags);
  void finish_if_said_farewell();
  void finish();
  void count_bytes();
  void write_access_line();
  void arm_idle();
  void on_idle();

  TcpListener& listener_;
  const net::SocketAddress remote_;
  std::shared_ptr<const BoundSnapshot> snapshot_;
  const TcpEntry* entry_ = nullptr;  // of the snapshot; null: it has none for the listener
  http::ConnectionInfo connection_;
  extension::ExchangeInfo info_;
  TcpEnd client_;
  TcpEnd upstream_;
  NetworkChain chain_{*this};
  State state_ = State::kHandshake;

  // Connecting (tcp_connect.cc).
  TcpUpstream place_;
  std::size_t attempts_ = 0;  // lookups begun
  std::string endpoint_;      // as the configuration writes it
  http::ClientTarget target_;
  net::Resolver::Addresses addresses_;
  std::size_t next_address_ = 0;
  net::Timer connect_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for the resolver's answer
  bool connected_ = false;

  net::Timer idle_timer_;
  Nanoseconds active_at_ = 0;
  std::uint64_t counted_in_ = 0;  // of the client's bytes, those that the metrics have
  std::uint64_t counted_out_ = 0;
  net::Timer drain_timer_;
  net::Timer farewell_timer_;
  std::string details_;  // why it ended; empty when both sides were done
  std::string plugin_;   // that closed it
};

}  // namespace heddle::gateway
