// Keeps the state of all upstreams over reloads: makes their endpoints from the configuration,
// resolves names again and again, checks health, readmits ejected endpoints. Once for the process;
// its work runs on a worker of its own, so that no request waits for it.
#pragma once

#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/metrics.h"
#include "config/config.h"
#include "gateway/snapshot.h"
#include "gateway/upstream_probe.h"
#include "gateway/upstream_state.h"
#include "net/blocking_pool.h"
#include "net/resolver.h"
#include "net/worker.h"

namespace heddle::gateway {

class UpstreamManager {
 public:
  // An address that no upstream has any more, or that is spoken to with other certificates: idle
  // connections to it should go. Any thread.
  using Forget = std::function<void(const std::string& address)>;

  // `lookup` is another source of names, for tests.
  UpstreamManager(Log& log, metrics::Registry& metrics, Forget forget,
                  net::Resolver::Lookup lookup = nullptr);
  ~UpstreamManager();
  UpstreamManager(const UpstreamManager&) = delete;
  UpstreamManager& operator=(const UpstreamManager&) = delete;

  // Takes over the upstreams of a configuration. Gives their states in order; null for a built-in
  // one. Until a name is resolved for the first time it is an endpoint itself.
  std::vector<std::shared_ptr<UpstreamState>> apply(const std::vector<UpstreamEntry>& upstreams);

  // Null when there is none. Any thread.
  std::shared_ptr<UpstreamState> find(const std::string& upstream) const;

 private:
  struct Name {
    net::Timer timer;
    bool failing = false;
  };
  struct Watched {
    // Guarded by mutex_.
    config::Upstream config;
    std::shared_ptr<const net::TlsClientContext> tls;
    std::shared_ptr<UpstreamState> state;
    std::map<std::string, std::vector<std::string>> resolved;  // "name:port" -> "address:port", …
    std::map<std::string, std::shared_ptr<EndpointState>> endpoints;  // by address
    // The worker's.
    std::map<std::string, std::unique_ptr<UpstreamProbe>> probes;  // by address
    std::map<std::string, std::unique_ptr<Name>> names;            // by "name:port"
  };
  struct Readmission {
    net::Timer timer;
  };
  using Addresses = std::vector<std::string>;
  // Endpoints that their upstream has no more.
  struct Endpoint {
    std::string upstream;
    std::string address;
  };
  using Left = std::vector<Endpoint>;

  Watched& watch(const config::Upstream& upstream);
  Addresses use_tls(Watched& watched, std::shared_ptr<const net::TlsClientContext> tls);
  Left rebuild(Watched& watched);
  void forget(const Left& left);

  // On the worker.
  void follow(const std::shared_ptr<Watched>& watched);
  void follow_names(const std::shared_ptr<Watched>& watched, const config::Upstream& config);
  void follow_probes(Watched& watched, const config::Upstream& config);
  void resolve(const std::shared_ptr<Watched>& watched, const std::string& name);
  void resolved(const std::shared_ptr<Watched>& watched, const std::string& name,
                const Result<net::Resolver::Addresses>& found);
  void readmit_later(std::shared_ptr<UpstreamState> upstream,
                     std::shared_ptr<EndpointState> endpoint, std::chrono::nanoseconds time);

  Log& log_;
  metrics::Registry& metrics_;
  const Forget forget_;
  metrics::Registry own_metrics_;  // of the checks' connections, apart from the service's
  net::Worker worker_;
  std::unique_ptr<net::BlockingPool> blocking_ = std::make_unique<net::BlockingPool>(2);
  net::Resolver resolver_;
  std::unique_ptr<http::ClientPool> pool_;
  std::list<Readmission> readmissions_;
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Watched>> upstreams_;  // guarded by mutex_
};

}  // namespace heddle::gateway
