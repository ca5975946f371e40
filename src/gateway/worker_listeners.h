// The listeners of one worker: opened, changed and retired while others go on. Worker thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "http/server.h"
#include "net/resolver.h"
#include "net/timer.h"

namespace heddle::gateway {

class GatewayWorker;
class TcpListener;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

class WorkerListeners {
 public:
  WorkerListeners(GatewayWorker& gateway, net::BlockingPool& blocking, metrics::Registry& registry);
  ~WorkerListeners();
  WorkerListeners(const WorkerListeners&) = delete;
  WorkerListeners& operator=(const WorkerListeners&) = delete;

  // `id` names it in later calls; `address` is a concrete one. Another listener that has it accepts
  // nothing more.
  Result<void> open(std::uint64_t id, const config::Listener& listener, const std::string& address);
  // What may change while it is open beside its certificates: limits, and the version of HTTP of
  // new connections.
  void update(std::uint64_t id, const config::Listener& listener);
  // No more connections. Those that it has end after their exchanges, at the latest after
  // `timeout`, tunnels softly; then it goes.
  void retire(std::uint64_t id, std::chrono::nanoseconds timeout);

  // There is a new snapshot in force.
  void follow();
  void stop_accepting();
  void drain();
  // Those that are left end now: tunnels and TCP connections softly, within Exchange::kFarewell.
  void give_up();
  void abort();
  bool ended() const;  // they accept nothing more, and none has a connection
  std::size_t tcp_connections() const;

 private:
  class Entrance;
  struct Open {
    std::uint64_t id = 0;
    std::string name;
    std::string address;
    bool speaks_tls = false;
    std::unique_ptr<Entrance> entrance;    // with http
    std::unique_ptr<http::Listener> http;  // one of the two
    std::unique_ptr<TcpListener> tcp;
    Nanoseconds retired_until = 0;  // 0: in use
    bool gave_up = false;           // its tunnels are being closed
    bool ended() const;
  };
  Open* find(std::uint64_t id);
  // A socket that listens on the address. That of a listener which has it goes over with all that
  // is queued: two sockets side by side would lose, or delay, what the kernel gave to the old one.
  Result<net::Fd> socket_of(const std::string& address);
  // The certificates in force; one that the configuration does not have keeps what it had.
  void use_certificates(const Open& item) const;
  void sweep();
  void cut_off(Open& item);

  GatewayWorker& gateway_;
  metrics::Registry& registry_;
  net::Resolver resolver_;  // of TCP connections
  std::vector<Open> open_;
  net::Timer sweep_timer_;
};

}  // namespace heddle::gateway
