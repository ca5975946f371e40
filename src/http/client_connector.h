// The way to a connection to an endpoint: its name is resolved, its addresses are tried, TLS is
// agreed on. Private to this folder; worker thread only.
#pragma once

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "http/client_context.h"
#include "net/tcp_stream.h"
#include "net/timer.h"

namespace heddle::http {

class ClientConnector final : public net::TcpStream::Observer {
 public:
  // One of both comes, as an event of its own.
  class Owner {
   public:
    // connector.stream() can be taken over.
    virtual void on_connected(ClientConnector& connector) = 0;
    // `detail` names the upstream and the reason.
    virtual void on_not_connected(StreamError error, std::string_view detail) = 0;

   protected:
    ~Owner() = default;
  };

  // `info` is filled while the connection comes about.
  ClientConnector(ClientContext& context, const ClientEndpoint& endpoint, UpstreamInfo& info,
                  Owner& owner);
  ~ClientConnector() = default;
  ClientConnector(const ClientConnector&) = delete;
  ClientConnector& operator=(const ClientConnector&) = delete;

  // All of it may take `timeout`. `alpn` is offered over TLS and outlives this.
  void start(std::chrono::nanoseconds timeout, std::span<const std::string_view> alpn);
  void cancel();  // neither event comes any more

  net::TcpStream& stream() { return stream_; }
  std::string_view alpn() const;  // what was agreed on; empty: nothing
  const UpstreamInfo& info() const { return info_; }

  void on_connect(int error) override;
  void on_tls(std::string_view error) override;
  void on_read(std::size_t) override {}
  void on_read_end(int) override {}
  void on_write_ready() override {}

 private:
  void try_next_address();
  void finish();
  void fail(StreamError error, std::string_view reason);

  ClientContext& context_;
  const ClientEndpoint& endpoint_;
  UpstreamInfo& info_;
  Owner& owner_;
  net::TcpStream stream_;
  net::Timer timer_;
  net::Resolver::Addresses addresses_;
  std::size_t next_address_ = 0;
  std::span<const std::string_view> alpn_;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  // for the resolver's callback
  bool over_ = false;
};

}  // namespace heddle::http
