#include "http/client_connector.h"

#include <cstring>
#include <utility>

#include "net/tls.h"
#include "net/worker.h"

namespace heddle::http {

ClientConnector::ClientConnector(ClientContext& context, const ClientEndpoint& endpoint,
                                 UpstreamInfo& info, Owner& owner)
    : context_(context),
      endpoint_(endpoint),
      info_(info),
      owner_(owner),
      stream_(context.worker, *this) {}

void ClientConnector::start(std::chrono::nanoseconds timeout,
                            std::span<const std::string_view> alpn) {
  alpn_ = alpn;
  timer_.arm(context_.worker.timers(), timeout, [this] {
    fail(StreamError::kConnectTimeout, "no connection within connect_timeout");
  });
  context_.resolver.resolve(
      endpoint_.address.host, endpoint_.address.port,
      [this, weak = std::weak_ptr(alive_)](const Result<net::Resolver::Addresses>& result) {
        if (weak.expired() || over_) return;
        if (!result) {
          // Deferred: a cached failure is known within the call that sent the head.
          context_.worker.defer([this, still = weak, text = result.error().message] {
            if (!still.expired()) fail(StreamError::kRefused, text);
          });
          return;
        }
        addresses_ = *result;
        try_next_address();
      });
}

void ClientConnector::cancel() {
  over_ = true;
  timer_.cancel();
  stream_.close();
}

void ClientConnector::try_next_address() {
  const net::SocketAddress& address = addresses_[next_address_++];
  info_.remote_address = address.to_string();
  stream_.connect(address);
}

void ClientConnector::on_connect(int error) {
  if (over_) return;
  if (error != 0) {
    if (next_address_ < addresses_.size()) {
      try_next_address();
    } else {
      fail(StreamError::kRefused, std::strerror(error));
    }
    return;
  }
  info_.local_address = net::local_address(stream_.fd()).to_string();
  const ClientTarget& target = endpoint_.target;
  if (target.tls == nullptr) {
    finish();
    return;
  }
  stream_.start_tls_client(
      target.tls, target.server_name.empty() ? endpoint_.address.host : target.server_name, alpn_);
}

void ClientConnector::on_tls(std::string_view error) {
  if (over_) return;
  if (!error.empty()) {
    fail(StreamError::kRefused, "TLS: " + std::string(error));
    return;
  }
  info_.tls = stream_.tls();
  finish();
}

void ClientConnector::finish() {
  over_ = true;
  timer_.cancel();
  owner_.on_connected(*this);
}

void ClientConnector::fail(StreamError error, std::string_view reason) {
  if (over_) return;
  cancel();
  owner_.on_not_connected(error,
                          "upstream " + endpoint_.target.endpoint + ": " + std::string(reason));
}

std::string_view ClientConnector::alpn() const {
  const auto tls = stream_.tls();
  return tls != nullptr ? std::string_view(tls->alpn) : std::string_view();
}

}  // namespace heddle::http
