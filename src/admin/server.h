// The admin API on a socket: collects requests, lets Guard and Authenticator judge them, hands them
// to Api, sends the answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "admin/api.h"
#include "admin/authenticator.h"
#include "admin/guard.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/result.h"
#include "config/config.h"
#include "http/server.h"
#include "net/worker.h"
#include "plugins/registry.h"
#include "services/event_bus.h"

namespace heddle::admin {

class EventStream;

struct ServerDependencies {
  net::Worker& worker;  // of its own, not one that serves traffic
  metrics::Registry& metrics;
  Log& log;
  Runner run_blocking;                   // password hashing
  services::EventBus* events = nullptr;  // null: GET /events as a WebSocket has none of plugins
};

// Belongs to its worker. Destroy it after the worker was joined; the worker outlives it, because a
// password may still be judged and a plugin still be asked then.
class AdminServer final : public http::ServerHandler {
 public:
  static constexpr std::size_t kMaxBody = std::size_t{1} << 20U;

  // Checks the configuration (password hashes). `address` is a concrete one, as
  // http::reserve_address() gives it.
  static Result<std::unique_ptr<AdminServer>> create(const config::Admin& config,
                                                     const std::string& address, Api& api,
                                                     ServerDependencies dependencies);
  ~AdminServer() override;

  // Who may use the API, and by which hosts. Made on the control thread, put in force on the
  // worker's (or before it starts). Lock-outs stay as long as the users do.
  struct Access;
  Result<std::shared_ptr<const Access>> make_access(const config::Admin& config);
  void set_access(std::shared_ptr<const Access> access);

  // Opens the listening socket. On the worker's thread, or before it starts.
  Result<void> listen();
  std::uint16_t local_port() const;
  // For those who watch (GET /events as a WebSocket). On the worker's thread.
  void tell(const plugins::Event& event);
  // On the worker's thread: lets exchanges in flight end; ends everything.
  void drain();
  void abort();

  http::Receiver* on_request(http::Sender& sender, const http::ConnectionInfo& connection,
                             http::HeadPtr head, bool end) override;
  std::string on_bad_request(const http::ConnectionInfo& connection, int status,
                             std::string_view reason) override;

 private:
  class Exchange;
  AdminServer(std::string address, Api& api, ServerDependencies dependencies);

  // For tasks of other threads: runs something on the worker, unless this is gone by then.
  using OnWorker = std::function<void(std::move_only_function<void(AdminServer&)>)>;
  OnWorker on_worker();

  void admit(Exchange& exchange);
  void decided(std::uint64_t id, const Authenticator::Decision& decision);
  void dispatch(Exchange& exchange);
  void dispatch_later(std::uint64_t id);
  void forget_later(std::uint64_t id);
  void for_streams(const std::function<void(EventStream&)>& visit);
  void answer_later(std::uint64_t id, Response response);
  void answer(std::uint64_t id, const Response& response);
  Exchange* find(std::uint64_t id);  // null: gone meanwhile
  void forget(std::uint64_t id);

  std::shared_ptr<AdminServer*> self_ = std::make_shared<AdminServer*>(this);  // its only owner
  std::string address_;
  Api& api_;
  ServerDependencies dependencies_;
  std::shared_ptr<const Access> access_;
  std::shared_ptr<const Access> last_made_;  // control thread
  std::unique_ptr<http::Listener> listener_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Exchange>> exchanges_;
  std::uint64_t next_id_ = 1;
};

}  // namespace heddle::admin
