// Outbound HTTP: what is sent and answered, and everything that must not be reached.
#include "services/outbound_http.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "http/test_support.h"
#include "net/tls.h"
#include "services/outbound_rules.h"
#include "services/outbound_url.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

using http::testing::Peer;
using http::testing::PeerListener;
using std::chrono::milliseconds;

// Serves one connection after the other with what a function makes of each request's head.
class SmallServer {
 public:
  using Answer = std::function<std::string(const std::string& head)>;
  explicit SmallServer(Answer answer) : answer_(std::move(answer)), thread_([this] { serve(); }) {}
  ~SmallServer() {
    stopping_ = true;
    Peer::connect(port());  // wakes accept()
    thread_.join();
  }
  SmallServer(const SmallServer&) = delete;
  SmallServer& operator=(const SmallServer&) = delete;

  std::string address() const { return listener_.address(); }
  std::uint16_t port() const {
    return static_cast<std::uint16_t>(std::stoi(address().substr(address().rfind(':') + 1)));
  }
  // Of the requests that were answered.
  std::vector<std::string> heads() const {
    const std::lock_guard lock(mutex_);
    return heads_;
  }

 private:
  void serve() {
    for (;;) {
      Peer peer = listener_.accept();
      if (stopping_) return;
      const std::string head = peer.head();
      {
        const std::lock_guard lock(mutex_);
        heads_.push_back(head);
      }
      peer.send(answer_(head));
    }
  }
  PeerListener listener_;
  Answer answer_;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<std::string> heads_;  // guarded by mutex_
  std::thread thread_;
};

std::string text(std::string_view body, std::string_view status = "200 OK",
                 std::string_view headers = "") {
  return fmt::format("HTTP/1.1 {}\r\n{}content-length: {}\r\nconnection: close\r\n\r\n{}", status,
                     headers, body.size(), body);
}

class OutboundTest : public testing::Test {
 public:
  ~OutboundTest() override { pool_.reset(); }

 protected:
  void make(OutboundOptions options = {}) {
    http_ = make_outbound_http(
        std::move(options), *pool_, registry_,
        [this](const std::string& host) -> Result<net::Resolver::Addresses> {
          ++lookups_;
          if (!names_.contains(host)) {
            return fail(ErrorKind::kUnavailable, host + " is not known");
          }
          return net::Resolver::Addresses{*net::SocketAddress::numeric(names_[host], 0)};
        });
  }
  Result<OutboundResponse> call(OutboundRequest request, const HttpPermissions& permissions) {
    if (!http_) make();
    request.plugin = "p";
    request.permissions = std::make_shared<const HttpPermissions>(permissions);
    return worker_.wait_for<OutboundResponse>([&](net::Worker& worker, auto done) {
      return http_->call(worker, std::move(request), std::move(done));
    });
  }
  Result<OutboundResponse> get(const std::string& url, const HttpPermissions& permissions) {
    return call({.url = url}, permissions);
  }
  ErrorKind refused(const std::string& url, const HttpPermissions& permissions) {
    const auto out = get(url, permissions);
    EXPECT_FALSE(out) << url;
    message_ = out ? "" : out.error().message;
    return out ? ErrorKind::kInternal : out.error().kind;
  }

  metrics::Registry registry_;
  TestWorker worker_;
  std::unique_ptr<net::BlockingPool> pool_ = std::make_unique<net::BlockingPool>(2);
  std::unique_ptr<OutboundHttp> http_;
  std::map<std::string, std::string> names_;
  std::atomic<int> lookups_ = 0;
  std::string message_;
};

TEST_F(OutboundTest, SendsAndAnswers) {
  SmallServer server([](const std::string&) { return text("hello", "201 Created", "X-A: b\r\n"); });
  names_["api.test"] = "127.0.0.1";
  const auto out = call(
      {.method = "post",
       .url = fmt::format("http://API.test:{}/a/b?c=d#e", server.port()),
       .headers = {{"X-Mine", "1"},
                   {"Host", "evil"},
                   {"Content-Length", "9999"},
                   {"Transfer-Encoding", "chunked"},
                   {"Connection", "x-mine"}},
       .body = "body"},
      {.hosts = {fmt::format("*.test:{}", server.port())}, .private_networks = {"127.0.0.0/8"}});
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->status, 201);
  EXPECT_EQ(out->body, "hello");
  EXPECT_TRUE(std::ranges::count(out->headers, std::pair<std::string, std::string>("x-a", "b")) ==
              1);
  const std::string head = server.heads().at(0);
  EXPECT_TRUE(head.starts_with("POST /a/b?c=d HTTP/1.1\r\n")) << head;
  EXPECT_NE(head.find(fmt::format("host: api.test:{}\r\n", server.port())), std::string::npos);
  EXPECT_NE(head.find("content-length: 4\r\n"), std::string::npos);
  EXPECT_NE(head.find("x-mine: 1\r\n"), std::string::npos);
  EXPECT_NE(head.find("user-agent: heddle\r\n"), std::string::npos);
  EXPECT_EQ(head.find("evil"), std::string::npos);
  EXPECT_EQ(head.find("chunked"), std::string::npos);
}

TEST_F(OutboundTest, HostsThatAreNotPermitted) {
  names_["example.test"] = "93.184.216.34";
  EXPECT_EQ(refused("http://example.test/", {}), ErrorKind::kPermission);
  EXPECT_EQ(refused("http://example.test/", {.hosts = {"other.test", "*.example.test"}}),
            ErrorKind::kPermission);
  EXPECT_EQ(refused("http://example.test:81/", {.hosts = {"example.test", "example.test:80"}}),
            ErrorKind::kPermission);
  EXPECT_EQ(refused("http://[2606:4700::1]:81/", {.hosts = {"2606:4700::1", "[2606:4700::1]:80"}}),
            ErrorKind::kPermission);
  EXPECT_EQ(lookups_, 0);
  EXPECT_TRUE(message_.starts_with("plugin p: HTTP: 2606:4700::1:81 is not a host")) << message_;
}

TEST_F(OutboundTest, PrivateAddressesAreRefused) {
  SmallServer server([](const std::string&) { return text("secret"); });
  const std::string port = std::to_string(server.port());
  for (const char* address :
       {"127.0.0.1", "169.254.169.254", "10.0.0.1", "192.168.1.1", "172.16.0.1", "100.64.0.1",
        "0.0.0.0", "::1", "::ffff:127.0.0.1", "fe80::1", "fd00::1", "64:ff9b::7f00:1",
        "2002:7f00:1::", "224.0.0.1", "::127.0.0.1"}) {
    names_["evil.test"] = address;
    make();  // forgets names
    EXPECT_EQ(refused("http://evil.test:" + port + "/", {.hosts = {"*"}}), ErrorKind::kPermission)
        << address;
    const std::string literal =
        std::string(address).contains(':') ? fmt::format("[{}]", address) : address;
    EXPECT_EQ(refused(fmt::format("http://{}:{}/", literal, port), {.hosts = {"*"}}),
              ErrorKind::kPermission)
        << address;
  }
  EXPECT_NE(message_.find("permissions.private_networks"), std::string::npos);
  EXPECT_TRUE(server.heads().empty());
  // By its numbers, or by a range, it is permitted.
  EXPECT_TRUE(get("http://127.0.0.1:" + port, {.hosts = {"127.0.0.1:" + port}}));
  EXPECT_TRUE(get("http://127.0.0.1:" + port, {.hosts = {"*"}, .private_networks = {"127.0.0.1"}}));
  names_["localhost"] = "127.0.0.1";
  EXPECT_TRUE(get("http://localhost:" + port, {.hosts = {"localhost:" + port}}));
}

// A name that means another address when it is asked for again.
TEST_F(OutboundTest, TheCheckedAddressIsTheOneConnectedTo) {
  SmallServer server([](const std::string&) { return text("ok"); });
  names_["a.test"] = "127.0.0.1";
  const HttpPermissions permissions{.hosts = {"*"}, .private_networks = {"127.0.0.1"}};
  ASSERT_TRUE(get(fmt::format("http://a.test:{}/", server.port()), permissions));
  EXPECT_EQ(lookups_, 1);
}

TEST_F(OutboundTest, RedirectsAreCheckedAnew) {
  std::atomic<const char*> location = "";
  SmallServer server([&](const std::string& head) {
    if (head.contains("GET /end")) return text("end");
    return text("", "302 Found", fmt::format("location: {}\r\n", location.load()));
  });
  const std::string base = "http://" + server.address();
  const HttpPermissions only_it{.hosts = {server.address(), "open.test"}};
  location = "../end?x";
  const auto out = call({.method = "POST",
                         .url = base + "/a/b",
                         .headers = {{"Authorization", "secret"}},
                         .body = "x"},
                        only_it);
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_EQ(out->body, "end");
  EXPECT_EQ(out->url, base + "/end?x");
  EXPECT_TRUE(server.heads().back().starts_with("GET /end?x "));
  EXPECT_NE(server.heads().back().find("authorization: secret"), std::string::npos);
  for (const char* evil : {"http://169.254.169.254/latest", "http://127.0.0.1:1/", "//10.0.0.1/",
                           "http://elsewhere.test/", "http://open.test/"}) {
    location = evil;
    names_["open.test"] = "169.254.169.254";
    EXPECT_EQ(refused(base + "/", only_it), ErrorKind::kPermission) << evil << message_;
  }
  location = "file:///etc/passwd";
  EXPECT_EQ(refused(base + "/", only_it), ErrorKind::kInvalidArgument);
  location = "/again";
  EXPECT_EQ(refused(base + "/", only_it), ErrorKind::kLimit);
}

TEST_F(OutboundTest, CredentialsStayWithTheirOrigin) {
  SmallServer second([](const std::string&) { return text("end"); });
  SmallServer first([&](const std::string&) {
    return text("", "307 Temporary Redirect",
                fmt::format("location: http://{}/\r\n", second.address()));
  });
  const auto out = call({.method = "PUT",
                         .url = "http://" + first.address(),
                         .headers = {{"Authorization", "secret"}, {"Cookie", "c"}, {"X-A", "kept"}},
                         .body = "body"},
                        {.hosts = {first.address(), second.address()}});
  ASSERT_TRUE(out) << out.error().message;
  EXPECT_TRUE(second.heads().back().starts_with("PUT / "));
  EXPECT_EQ(second.heads().back().find("secret"), std::string::npos);
  EXPECT_EQ(second.heads().back().find("cookie"), std::string::npos);
  EXPECT_NE(second.heads().back().find("x-a: kept"), std::string::npos);
}

TEST_F(OutboundTest, Limits) {
  make({.limits = {.max_request_bytes = 10, .max_response_bytes = 100}});
  SmallServer server([](const std::string&) { return text(std::string(101, 'x')); });
  const HttpPermissions permissions{.hosts = {server.address()}};
  EXPECT_EQ(refused("http://" + server.address() + "/big", permissions), ErrorKind::kLimit);
  EXPECT_NE(message_.find("outbound_http.max_response"), std::string::npos);
  const auto large =
      call({.url = "http://" + server.address(), .body = std::string(11, 'x')}, permissions);
  EXPECT_EQ(large.error().kind, ErrorKind::kLimit);
  PeerListener silent;
  const auto late = call({.url = "http://" + silent.address(), .timeout = milliseconds(200)},
                         {.hosts = {silent.address()}});
  EXPECT_EQ(late.error().kind, ErrorKind::kTimeout);
  EXPECT_EQ(refused("http://nowhere.test/", {.hosts = {"*"}}), ErrorKind::kUnavailable);
  EXPECT_EQ(refused("http://127.0.0.1:1/", {.hosts = {"127.0.0.1:1"}}), ErrorKind::kUnavailable);
}

TEST_F(OutboundTest, WrongRequests) {
  const HttpPermissions all{.hosts = {"*"}, .private_networks = {"0.0.0.0/0"}};
  const auto kind = [&](OutboundRequest request) {
    const auto out = call(std::move(request), all);
    return out ? ErrorKind::kInternal : out.error().kind;
  };
  const std::string url = "http://127.0.0.1:1/";
  EXPECT_EQ(kind({.url = url, .headers = {{"a", "b\r\nc: d"}}}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.url = url, .headers = {{"a b", "c"}}}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.method = "GET /x HTTP/1.1\r\n", .url = url}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.method = "CONNECT", .url = url}), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind({.method = "", .url = url}), ErrorKind::kInvalidArgument);
}

TEST_F(OutboundTest, ACallerThatGoes) {
  PeerListener listener;
  make();
  bool called = false;
  Pending pending;
  worker_.on_worker([&] {
    OutboundRequest request{.plugin = "p", .url = "http://" + listener.address()};
    request.permissions =
        std::make_shared<const HttpPermissions>(HttpPermissions{.hosts = {listener.address()}});
    pending = http_->call(worker_.worker, std::move(request), [&](const auto&) { called = true; });
  });
  Peer peer = listener.accept();
  peer.head();
  worker_.on_worker([&] { pending.reset(); });
  EXPECT_EQ(peer.until_closed(), "");
  EXPECT_FALSE(called);
}

// Certificates are checked against the name of the URL.
TEST_F(OutboundTest, Tls) {
  TemporaryFolder folder;
  const std::string certificate = folder.path() + "/cert.pem";
  ASSERT_EQ(std::system(fmt::format("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 "
                                    "-nodes -days 2 -subj /CN=good.test -addext "
                                    "subjectAltName=DNS:good.test -keyout {0}/key.pem -out {1} "
                                    "2>{0}/log",
                                    folder.path(), certificate)
                            .c_str()),
            0);
  PeerListener reserved;  // a free port
  const std::string port = reserved.address().substr(reserved.address().rfind(':') + 1);
  {
    const PeerListener freed = std::move(reserved);
  }
  ASSERT_EQ(std::system(fmt::format("openssl s_server -www -quiet -accept 127.0.0.1:{1} -cert {0}/"
                                    "cert.pem -key {0}/key.pem >{0}/log 2>&1 & echo $! >{0}/pid",
                                    folder.path(), port)
                            .c_str()),
            0);
  names_["good.test"] = names_["bad.test"] = "127.0.0.1";
  const HttpPermissions permissions{.hosts = {"*"}, .private_networks = {"127.0.0.1"}};
  net::TlsClientOptions trusting;
  trusting.ca_file = certificate;
  make({.tls = *net::TlsClientContext::create(trusting)});
  Result<OutboundResponse> out = fail(ErrorKind::kUnavailable, "");
  const Nanoseconds start = monotonic_now();
  while (!out && monotonic_now() - start < 5'000'000'000) {
    out = get("https://good.test:" + port + "/", permissions);
  }
  EXPECT_TRUE(out) << out.error().message;
  EXPECT_EQ(refused("https://bad.test:" + port + "/", permissions), ErrorKind::kUnavailable);
  EXPECT_NE(message_.find("certificate"), std::string::npos) << message_;
  make({.tls = *net::TlsClientContext::create({})});
  EXPECT_EQ(refused("https://good.test:" + port + "/", permissions), ErrorKind::kUnavailable);
  make();
  EXPECT_EQ(refused("https://good.test:" + port + "/", permissions), ErrorKind::kUnavailable);
  (void)std::system(fmt::format("kill $(cat {}/pid)", folder.path()).c_str());
}

TEST(OutboundUrl, Parses) {
  const auto url = [](std::string_view given) {
    const auto parsed = parse_outbound_url(given);
    return parsed ? parsed->to_string() : "-";
  };
  EXPECT_EQ(url("HTTPS://Example.TEST"), "https://example.test/");
  EXPECT_EQ(url("https://example.test.:443/a?b#c"), "https://example.test/a?b");
  EXPECT_EQ(url("http://example.test?x"), "http://example.test/?x");
  EXPECT_EQ(url("http://[::1]:80/"), "http://[::1]/");
  EXPECT_EQ(url("http://[::1]:81/"), "http://[::1]:81/");
  for (const char* bad :
       {"", "example.test", "ftp://a/", "http://", "http:///a", "http://a:0/", "http://a:99999/",
        "http://a:b/", "http://user@a/", "http://a b/", "http://a/\r\nx: y", "http://[::1/",
        "http://[a]/", "http://a\\@b/", "http://ex\xc3\xa4mple.test/", "http://a%2eb/",
        "http://a:80:80/", "javascript:alert(1)"}) {
    EXPECT_EQ(url(bad), "-") << bad;
  }
}

TEST(OutboundUrl, Locations) {
  const auto base = *parse_outbound_url("http://a.test:81/b/c?d");
  const auto at = [&](std::string_view location) {
    const auto parsed = resolve_location(base, location);
    return parsed ? parsed->to_string() : "-";
  };
  EXPECT_EQ(at("e"), "http://a.test:81/b/e");
  EXPECT_EQ(at("../e/./f"), "http://a.test:81/e/f");
  EXPECT_EQ(at("../../../e"), "http://a.test:81/e");
  EXPECT_EQ(at(".."), "http://a.test:81/");
  EXPECT_EQ(at("/e?f:g"), "http://a.test:81/e?f:g");
  EXPECT_EQ(at("?e"), "http://a.test:81/b/c?e");
  EXPECT_EQ(at("//b.test/x"), "http://b.test/x");
  EXPECT_EQ(at("https://b.test/x#y"), "https://b.test/x");
  EXPECT_EQ(at("gopher://b.test/"), "-");
}

TEST(OutboundRules, Networks) {
  EXPECT_TRUE(check_network("10.0.0.0/8"));
  EXPECT_TRUE(check_network("::1"));
  for (const char* bad : {"", "10.0.0.0/33", "a/8", "10.0.0.0/", "10.0.0.0/x", "::/129"}) {
    EXPECT_FALSE(check_network(bad)) << bad;
  }
  EXPECT_TRUE(is_public_address(*net::SocketAddress::numeric("93.184.216.34", 0)));
  EXPECT_TRUE(is_public_address(*net::SocketAddress::numeric("2606:4700::1", 0)));
  EXPECT_FALSE(is_public_address(*net::SocketAddress::numeric("2001:db8::1", 0)));
}

}  // namespace
}  // namespace heddle::services
