// One outbound request: permission, resolution, connection, answer, and again for each redirect.
// Worker thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "http/client.h"
#include "net/resolver.h"
#include "net/timer.h"
#include "net/worker.h"
#include "services/outbound_http.h"
#include "services/outbound_url.h"

namespace heddle::services {

// What the calls of one worker share; lives as long as the worker.
struct OutboundWorker final : net::Worker::Local {
  struct Known {
    net::Resolver::Addresses addresses;
    Nanoseconds expires = 0;
  };
  OutboundWorker(net::Worker& w, net::BlockingPool& b, OutboundOptions o, net::Resolver::Lookup l,
                 metrics::Registry& registry)
      : worker(w),
        blocking(b),
        options(std::move(o)),
        lookup(std::move(l)),
        pool(http::ClientPool::create(w, b, registry)) {}

  net::Worker& worker;
  net::BlockingPool& blocking;
  const OutboundOptions options;
  const net::Resolver::Lookup lookup;
  std::unique_ptr<http::ClientPool> pool;
  std::map<std::string, Known> names;
  std::size_t calls = 0;
};

class OutboundCall final : public http::Receiver,
                           public std::enable_shared_from_this<OutboundCall> {
 public:
  OutboundCall(OutboundWorker& shared, OutboundRequest request,
               std::shared_ptr<Completion<OutboundResponse>> completion);
  ~OutboundCall() override;
  OutboundCall(const OutboundCall&) = delete;
  OutboundCall& operator=(const OutboundCall&) = delete;

  void start();
  void cancel();  // closes what is open; nothing is answered any more

  // http::Receiver
  void on_informational(http::HeadPtr) override {}
  void on_head(http::HeadPtr head, bool end) override;
  void on_data(http::Buffer& data, bool end) override;
  void on_trailers(http::HeadPtr) override {}
  void on_reset(http::StreamError error, std::string_view detail) override;
  void on_writable() override {}
  void on_complete() override;

 private:
  Result<void> check_request();
  void go_to(Result<OutboundUrl> url);
  void resolve();
  void on_resolved(const Result<net::Resolver::Addresses>& addresses);
  void connect_next();
  void send(http::ClientStream& stream);
  bool redirect();
  void finish(Result<OutboundResponse> result);

  OutboundWorker& shared_;
  OutboundRequest request_;
  std::shared_ptr<Completion<OutboundResponse>> completion_;
  net::Timer timer_;
  OutboundUrl url_;
  Pending resolving_;
  std::deque<net::SocketAddress> addresses_;  // checked, and not tried yet
  http::ClientStream* stream_ = nullptr;
  http::HeadPtr head_;  // of the answer
  std::string body_;
  std::size_t redirects_ = 0;
  bool over_ = false;
};

}  // namespace heddle::services
