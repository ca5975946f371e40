// The pool that callers see: it sends each exchange to the pool of what its endpoint speaks.
#include "http/auto_client.h"
#include "http/client_context.h"
#include "http/h1_client.h"
#include "http/h2_client.h"

namespace heddle::http {
namespace {

class ClientPoolImpl final : public ClientPool {
 public:
  ClientPoolImpl(net::Worker& worker, net::BlockingPool& blocking, metrics::Registry& metrics)
      : context_(worker, blocking, metrics),
        http1_(context_),
        http2_(context_),
        auto_(context_, http1_, http2_) {}

  ClientStream& open(const ClientTarget& target, const ClientLimits& limits,
                     Receiver& receiver) override {
    switch (target.protocol) {
      case ClientProtocol::kHttp2:
        return http2_.open(target, limits, receiver);
      case ClientProtocol::kAuto:
        if (target.tls != nullptr) return auto_.open(target, limits, receiver);
        [[fallthrough]];
      case ClientProtocol::kHttp1:
        break;
    }
    return http1_.open(target, limits, receiver);
  }

  void forget(const std::string& endpoint) override {
    http1_.forget(endpoint);
    http2_.forget(endpoint);
  }
  void close_idle() override {
    http1_.close_idle();
    http2_.close_idle();
  }
  std::size_t active() const override {
    return http1_.active() + http2_.active() + auto_.waiting();
  }

 private:
  ClientContext context_;
  H1ClientPool http1_;
  H2ClientPool http2_;
  AutoClientPool auto_;
};

}  // namespace

std::unique_ptr<ClientPool> ClientPool::create(net::Worker& worker, net::BlockingPool& blocking,
                                               metrics::Registry& metrics) {
  return std::make_unique<ClientPoolImpl>(worker, blocking, metrics);
}

}  // namespace heddle::http
