#include "gateway/smoke.h"

#include <charconv>
#include <cstdint>
#include <future>
#include <string>
#include <utility>

#include "gateway/exchange.h"
#include "gateway/gateway_worker.h"
#include "net/blocking_pool.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

constexpr std::uint64_t kNoListener = 0;

struct Answer {
  int status = 0;  // 0: the exchange was reset
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// The client side of one smoke request, without a connection.
class SmokeClient final : public http::Sender {
 public:
  SmokeClient(net::Worker& worker, std::promise<Answer> done)
      : worker_(worker), done_(std::move(done)) {}

  void run(GatewayWorker& gateway, const config::Smoke& smoke,
           const http::ConnectionInfo& connection) {
    http::HeadPtr head = http::make_head();
    head->headers.add(":authority", "smoke.heddle");
    head->headers.add(":path", smoke.path);
    head->headers.add(":method", smoke.method);
    head->headers.add(":scheme", "http");
    for (const config::Match& header : smoke.headers) head->headers.add(header.name, header.value);
    const bool body = !smoke.body.empty();
    if (body) head->headers.set("content-length", std::to_string(smoke.body.size()));
    receiver_ = gateway.on_request(kNoListener, *this, connection, std::move(head), !body);
    if (body && !finished_) {
      http::Buffer bytes;
      bytes.append(smoke.body);
      receiver_->on_data(bytes, false);
      http::Buffer nothing;
      if (!finished_) receiver_->on_data(nothing, true);
    }
  }

  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_head(const http::HeaderMap& headers, bool end) override {
    for (const auto& [name, value] : headers) {
      if (name == ":status")
        std::from_chars(value.data(), value.data() + value.size(), answer_.status);
      answer_.headers.emplace_back(name, value);
    }
    if (end) finish(true);
  }
  void send_data(http::Buffer&& data, bool end) override {
    answer_.body += data.to_string();
    data.clear();
    if (end) finish(true);
  }
  void send_trailers(const http::HeaderMap& /*trailers*/) override { finish(true); }
  void reset(http::StreamError /*error*/) override {
    answer_ = {};
    finish(false);
  }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return false; }
  std::uint64_t bytes_sent() const override { return answer_.body.size(); }
  std::uint64_t bytes_received() const override { return 0; }

 private:
  void finish(bool complete) {
    if (std::exchange(finished_, true)) return;
    worker_.defer([this, complete] {
      if (complete) receiver_->on_complete();
      auto done = std::move(done_);  // this client may go as soon as the value is set
      done.set_value(std::move(answer_));
    });
  }

  net::Worker& worker_;
  std::promise<Answer> done_;
  Answer answer_;
  http::Receiver* receiver_ = nullptr;
  bool finished_ = false;
};

Result<void> check(const config::Smoke& smoke, const Answer& answer) {
  const std::string what = "smoke request " + smoke.method + " " + smoke.path + ": ";
  if (answer.status == 0) return fail(ErrorKind::kTrap, what + "the exchange was reset");
  if (smoke.expect_status && *smoke.expect_status != answer.status) {
    return fail(ErrorKind::kInvalidArgument, what + "expected status " +
                                                 std::to_string(*smoke.expect_status) + ", got " +
                                                 std::to_string(answer.status));
  }
  if (!smoke.expect_status && answer.status >= 500) {
    return fail(ErrorKind::kInvalidArgument, what + "got status " + std::to_string(answer.status));
  }
  for (const config::Match& want : smoke.expect_headers) {
    const std::string* found = nullptr;
    for (const auto& [name, value] : answer.headers) {
      if (http::equals_ignoring_case(name, want.name)) found = &value;
    }
    if (found == nullptr || (want.value != "*" && *found != want.value)) {
      return fail(ErrorKind::kInvalidArgument, what + "expected header " + want.name + ": " +
                                                   want.value + ", got " +
                                                   (found == nullptr ? "none" : *found));
    }
  }
  return {};
}

// A filter has the echo upstream behind it; a route plugin answers itself.
std::shared_ptr<const config::Config> smoke_config(bool filters) {
  auto out = std::make_shared<config::Config>();
  out->logging.access_log = false;
  if (!filters) return out;
  config::Upstream echo;
  echo.name = "echo";
  echo.builtin = "echo";
  out->upstreams.push_back(std::move(echo));
  config::Route route;
  route.id = "smoke";
  route.upstream = "echo";
  out->routes.push_back(std::move(route));
  return out;
}

}  // namespace

Result<void> run_smoke(const std::shared_ptr<extension::LoadedPlugin>& loaded,
                       const config::Plugin& plugin, Log& log) {
  if (plugin.smoke.empty()) return {};
  auto filter = loaded->http_filter();
  if (!filter && loaded->route_plugin() == nullptr) {
    return fail(ErrorKind::kInvalidArgument,
                "smoke requests need a plugin that filters HTTP or answers routes");
  }

  metrics::Registry metrics;  // smoke traffic is not the service's
  // An index beyond every real worker: the version makes a worker of its own for it.
  net::Worker worker(extension::kSmokeWorker, log);
  net::BlockingPool blocking(1);
  const auto connection = std::make_shared<http::ConnectionInfo>();
  connection->remote_address = "127.0.0.1:1";
  connection->remote_ip = "127.0.0.1";
  connection->local_address = "127.0.0.1:2";
  auto gateway = std::make_unique<GatewayWorker>(worker, blocking, log, metrics);
  NativeFilters natives(metrics);
  std::vector<FilterBinding> filters;
  PluginBindings plugins;
  if (filter) {
    filters.push_back({.name = plugin.name, .factory = filter});
  } else {
    RoutePluginBinding& binding = plugins.routes.emplace_back();
    binding.name = plugin.name;
    binding.plugin = loaded;
  }
  const auto snapshot = std::make_shared<const Snapshot>(smoke_config(filter != nullptr), filters,
                                                         natives, metrics, nullptr, plugins);
  worker.start();
  Result<void> result;
  for (const config::Smoke& smoke : plugin.smoke) {
    std::promise<Answer> promise;
    auto future = promise.get_future();
    auto client = std::make_unique<SmokeClient>(worker, std::move(promise));
    worker.post([&] {
      gateway->use(snapshot, {nullptr});
      client->run(*gateway, smoke, *connection);
    });
    result = check(smoke, future.get());
    if (!result) break;
  }
  std::promise<void> cleared;
  worker.post([&] {
    gateway->finish_late_work();
    gateway->abort();
    loaded->stop(worker);
    cleared.set_value();
  });
  cleared.get_future().wait();
  worker.stop();
  worker.join();
  return result;
}

}  // namespace heddle::gateway
