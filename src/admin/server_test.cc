// The admin server on a real socket and worker: what the handlers' own tests cannot see.
#include "admin/server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sodium.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/blocking_pool.h"
#include "net/test_worker.h"
#include "plugins/fake_sandbox.h"
#include "plugins/test_folder.h"

namespace heddle::admin {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class IdleGateway final : public GatewayView {
 public:
  std::vector<RouteView> routes() const override { return {}; }
  std::vector<UpstreamView> upstreams() const override { return {}; }
  Phase phase() const override { return Phase::kServing; }
  GatewayCounts counts() const override { return {}; }
  ReloadView reload() const override { return {}; }
};

class AdminServerTest : public ::testing::Test {
 protected:
  void TearDown() override { stop(); }

  void start() {
    const auto address = http::reserve_address("127.0.0.1:0");
    ASSERT_TRUE(address) << address.error().message;
    const auto post = [this](std::move_only_function<void()> task) {
      pool_->submit(std::move(task));
    };
    api_ = std::make_unique<Api>(ApiDependencies{.registry = registry_,
                                                 .gateway = gateway_,
                                                 .metrics = metrics_,
                                                 .config = [this] { return config_; },
                                                 .run_on_control = post,
                                                 .reload_config = {},
                                                 .log = *log_});
    auto made = AdminServer::create(
        admin_, address->address, *api_,
        {.worker = worker_, .metrics = metrics_, .log = *log_, .run_blocking = post});
    ASSERT_TRUE(made) << made.error().message;
    server_ = std::move(*made);
    const auto listening = server_->listen();
    ASSERT_TRUE(listening) << listening.error().message;
    port_ = server_->local_port();
    worker_.start();
    started_ = true;
  }

  void stop() {
    if (!started_) return;
    net::testing::run_on(worker_, [&] { server_->abort(); });
    pool_.reset();
    worker_.stop();
    worker_.join();
    started_ = false;
  }

  // Sends `text` on a connection of its own and reads until the server closes it.
  std::string exchange(const std::string& text) {
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const timeval patience{20, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    EXPECT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    std::size_t sent = 0;
    while (sent < text.size()) {
      const ssize_t count = send(fd, text.data() + sent, text.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) break;  // the server had enough
      sent += static_cast<std::size_t>(count);
    }
    std::string out;
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = recv(fd, buffer.data(), buffer.size(), 0)) > 0;) {
      out.append(buffer.data(), static_cast<std::size_t>(count));
    }
    close(fd);
    return out;
  }
  std::string request(const std::string& line, const std::string& headers = {},
                      const std::string& body = {}) {
    std::string text = line + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + headers;
    if (!body.empty()) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return exchange(text + "\r\n" + body);
  }

  plugins::testing::TestFolder folder_;
  plugins::testing::FakeEngine engine_;
  plugins::testing::FakeContract contract_;
  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  plugins::Registry registry_{engine_, {&contract_}, *log_, metrics_};
  IdleGateway gateway_;
  std::shared_ptr<config::Config> config_ = std::make_shared<config::Config>();
  config::Admin admin_;
  net::Worker worker_{30, *log_};
  std::unique_ptr<net::BlockingPool> pool_ = std::make_unique<net::BlockingPool>(2);
  std::unique_ptr<Api> api_;
  std::unique_ptr<AdminServer> server_;
  std::uint16_t port_ = 0;
  bool started_ = false;
};

TEST_F(AdminServerTest, AnswersReadsAndChanges) {
  config::Config config;
  config.plugins.emplace_back();
  config.plugins[0].name = "auth";
  config.plugins[0].path = folder_.write("auth.wasm", "module\nexport fake\n");
  registry_.load(config);
  start();
  const std::string list = request("GET /plugins");
  EXPECT_THAT(list, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(list, HasSubstr("\r\n\r\n[{\"name\":\"auth\""));
  EXPECT_THAT(list, HasSubstr("cache-control: no-store"));
  EXPECT_THAT(request("POST /plugins/auth/reload"), HasSubstr("\"new_version\":2"));
  EXPECT_THAT(request("POST /config/validate", {}, "workers: 1\n"), HasSubstr("\"valid\":true"));
}

TEST_F(AdminServerTest, HeadHasNoBody) {
  start();
  const std::string answer = request("HEAD /health");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(answer, EndsWith("\r\n\r\n"));
}

TEST_F(AdminServerTest, RebindingAndCrossSiteAreRefused) {
  start();
  EXPECT_THAT(exchange("GET /plugins HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
              StartsWith("HTTP/1.1 403"));
  EXPECT_THAT(request("POST /plugins/a/reload", "Origin: http://evil.example\r\n"),
              StartsWith("HTTP/1.1 403"));
}

TEST_F(AdminServerTest, LargeBodyIs413) {
  start();
  const std::string body(AdminServer::kMaxBody + 1, ' ');
  EXPECT_THAT(request("POST /config/validate", {}, body), StartsWith("HTTP/1.1 413"));
  EXPECT_THAT(request("POST /config/validate", {}, body.substr(1)), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, AuthenticationGuardsAllButHealth) {
  ASSERT_GE(sodium_init(), 0);
  std::array<char, crypto_pwhash_STRBYTES> hash{};
  ASSERT_EQ(crypto_pwhash_str(hash.data(), "secret", 6, crypto_pwhash_OPSLIMIT_MIN,
                              crypto_pwhash_MEMLIMIT_MIN),
            0);
  admin_.auth_enabled = true;
  admin_.users = {{"anna", hash.data()}};
  start();
  EXPECT_THAT(request("GET /health"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(request("GET /ready"), StartsWith("HTTP/1.1 200"));
  const std::string refused = request("GET /plugins");
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 401"));
  EXPECT_THAT(refused, HasSubstr("www-authenticate: Basic realm=\"Gateway Admin\""));
  // anna:secret
  EXPECT_THAT(request("GET /plugins", "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n"),
              StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(
      request("POST /config/validate", "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n", "workers: 1\n"),
      StartsWith("HTTP/1.1 200"));
  // anna:a to anna:e
  for (const char* guess : {"YW5uYTph", "YW5uYTpi", "YW5uYTpj", "YW5uYTpk", "YW5uYTpl"}) {
    EXPECT_THAT(request("GET /plugins", std::string("Authorization: Basic ") + guess + "\r\n"),
                StartsWith("HTTP/1.1 401"));
  }
  const std::string locked = request("GET /plugins", "Authorization: Basic YW5uYTpzZWNyZXQ=\r\n");
  EXPECT_THAT(locked, StartsWith("HTTP/1.1 429"));
  EXPECT_THAT(locked, HasSubstr("retry-after: "));
  EXPECT_THAT(request("GET /health"), StartsWith("HTTP/1.1 200"));
}

TEST_F(AdminServerTest, WrongHashStopsTheStart) {
  admin_.auth_enabled = true;
  admin_.users = {{"anna", "plain"}};
  Api api(ApiDependencies{.registry = registry_,
                          .gateway = gateway_,
                          .metrics = metrics_,
                          .config = [this] { return config_; },
                          .run_on_control = {},
                          .reload_config = {},
                          .log = *log_});
  EXPECT_FALSE(AdminServer::create(
      admin_, "127.0.0.1:0", api,
      {.worker = worker_, .metrics = metrics_, .log = *log_, .run_blocking = {}}));
}

TEST_F(AdminServerTest, ClientsThatLeaveHarmNobody) {
  start();
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(
        exchange("POST /config/validate HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                 "Content-Length: 0\r\n\r\n"),
        StartsWith("HTTP/1.1 400"));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const std::string_view half =
        "POST /config/validate HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nwork";
    send(fd, half.data(), half.size(), MSG_NOSIGNAL);
    close(fd);
  }
  EXPECT_THAT(request("GET /health"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(exchange("GET / HTTP/9.9\r\n\r\n"), Not(StartsWith("HTTP/1.1 200")));
}

}  // namespace
}  // namespace heddle::admin
