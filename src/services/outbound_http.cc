#include "services/outbound_http.h"

#include <fmt/format.h>

#include <utility>

#include "net/blocking_pool.h"
#include "services/outbound_call.h"
#include "services/service_metrics.h"

namespace heddle::services {
namespace {

class Handle final : public PendingCall {
 public:
  Handle(std::shared_ptr<OutboundCall> call, Pending result)
      : call_(std::move(call)), result_(std::move(result)) {}
  ~Handle() override {
    result_.reset();
    call_->cancel();
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;

 private:
  std::shared_ptr<OutboundCall> call_;
  Pending result_;
};

class Outbound final : public OutboundHttp {
 public:
  Outbound(OutboundOptions options, net::BlockingPool& blocking, metrics::Registry& registry,
           net::Resolver::Lookup lookup)
      : options_(std::move(options)),
        blocking_(blocking),
        registry_(registry),
        metrics_(registry),
        lookup_(std::move(lookup)) {}

  Pending call(net::Worker& worker, OutboundRequest request, Callback done) override {
    Callback counted = [this, done = std::move(done), plugin = request.plugin,
                        entry = metrics_.of(request.plugin, "http"),
                        started = monotonic_now()](Result<OutboundResponse> result) mutable {
      entry.record(started, !result);
      if (!result && result.error().kind == ErrorKind::kLimit) metrics_.limit_hit(plugin, "http");
      if (!result) {
        result = std::unexpected(
            std::move(result.error()).within(fmt::format("plugin {}: HTTP: ", plugin)));
      }
      done(std::move(result));
    };
    auto completion = Completion<OutboundResponse>::create(worker, std::move(counted));
    auto out = std::make_shared<OutboundCall>(local(worker), std::move(request), completion);
    out->start();
    return std::make_unique<Handle>(std::move(out), completion->handle());
  }

 private:
  OutboundWorker& local(net::Worker& worker) {
    if (auto* found = worker.find_local(key_)) return static_cast<OutboundWorker&>(*found);
    auto made = std::make_unique<OutboundWorker>(worker, blocking_, options_, lookup_, registry_);
    OutboundWorker& out = *made;
    worker.keep_local(key_, std::move(made));
    return out;
  }

  const OutboundOptions options_;
  net::BlockingPool& blocking_;
  metrics::Registry& registry_;
  ServiceMetrics metrics_;
  const net::Resolver::Lookup lookup_;
  const net::Worker::LocalKey key_ = net::Worker::new_local_key();
};

}  // namespace

std::unique_ptr<OutboundHttp> make_outbound_http(OutboundOptions options,
                                                 net::BlockingPool& blocking,
                                                 metrics::Registry& metrics,
                                                 net::Resolver::Lookup lookup) {
  return std::make_unique<Outbound>(std::move(options), blocking, metrics, std::move(lookup));
}

}  // namespace heddle::services
