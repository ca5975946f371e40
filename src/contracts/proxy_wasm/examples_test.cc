// The example plugins, built with the real SDKs (scripts/build-examples, which `make unit` runs
// before).
#include <fstream>
#include <iterator>
#include <string>

#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using extension::HeadersAction;

class ExamplesTest : public ProxyWasmTest {
 protected:
  // False: not built.
  bool start_example(const std::string& name) {
    std::filesystem::path folder = std::filesystem::current_path();
    while (!std::filesystem::exists(folder / "build" / "examples") && folder.has_relative_path()) {
      folder = folder.parent_path();
    }
    std::ifstream file(folder / "build" / "examples" / (name + ".wasm"), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    if (bytes.empty()) return false;
    auto module = engine_->compile(std::as_bytes(std::span(bytes)), name);
    EXPECT_TRUE(module.has_value()) << module.error().message;
    auto loaded = contract_->load(spec_, *module);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message << logged();
    if (!loaded) return true;
    plugin_ = std::static_pointer_cast<Plugin>(*loaded);
    return true;
  }
  void TearDown() override {
    if (plugin_ != nullptr) {
      const net::Worker::Scope scope(*worker_);
      plugin_->stop(*worker_);
      EXPECT_EQ(plugin_->stats().errors, 0U) << plugin_->stats().last_error;
    }
    plugin_.reset();
    ProxyWasmTest::TearDown();
  }
  HeadersAction request(FakeHost& host) {
    const net::Worker::Scope scope(*worker_);
    auto filter = plugin_->create(host);
    EXPECT_NE(filter, nullptr);
    const HeadersAction action = filter->on_request_headers(host.request, true);
    if (action == HeadersAction::kContinue) {
      host.in_request = false;
      host.in_response = host.has_response = true;
      host.response.add(":status", "200");
      EXPECT_EQ(filter->on_response_headers(host.response, true), HeadersAction::kContinue);
      host.in_response = false;
    }
    filter->on_log();
    return action;
  }
};

TEST_F(ExamplesTest, RustMinimal) {
  if (!start_example("minimal")) GTEST_FAIL() << "not built: run scripts/build-examples";
  for (int i = 0; i < 3; ++i) {
    FakeHost host(*worker_);
    EXPECT_EQ(request(host), HeadersAction::kContinue);
    EXPECT_EQ(host.request.get("x-plugin"), "minimal");
  }
}

TEST_F(ExamplesTest, RustRateLimiter) {
  spec_.configuration = R"({"requests_per_second":1,"burst":2})";
  if (!start_example("rate_limiter")) GTEST_FAIL() << "not built: run scripts/build-examples";
  int limited = 0;
  for (int i = 0; i < 6; ++i) {
    FakeHost host(*worker_);
    request(host);
    if (host.reply && host.reply->status == 429) ++limited;
  }
  EXPECT_GE(limited, 2);
}

TEST_F(ExamplesTest, RustMetricsLogger) {
  if (!start_example("metrics_logger")) GTEST_FAIL() << "not built: run scripts/build-examples";
  FakeHost host(*worker_);
  EXPECT_EQ(request(host), HeadersAction::kContinue);
  EXPECT_EQ(host.response.get("x-custom-key"), "/a/b?q=1");
  EXPECT_EQ(counter("heddle_plugin_custom_my_plugin_requests_total", {{"plugin", "tested"}}), 1U);
  EXPECT_NE(logged().find("requests: 0, active: 1, latency: 2"), std::string::npos);
}

TEST_F(ExamplesTest, RustExternalAuth) {
  if (!start_example("external_auth")) GTEST_FAIL() << "not built: run scripts/build-examples";
  const net::Worker::Scope scope(*worker_);
  auto filter = plugin_->create(*host_);
  EXPECT_NO_FATAL_FAILURE(filter->on_request_headers(host_->request, true));
  EXPECT_TRUE(host_->reply.has_value() || !upstreams_.calls.empty() || !logged().empty());
}

TEST_F(ExamplesTest, GoHeaders) {
  spec_.memory_limit = std::size_t{64} << 20U;
  if (!start_example("go_headers")) GTEST_FAIL() << "not built: run scripts/build-examples";
  for (int i = 0; i < 3; ++i) {
    FakeHost host(*worker_);
    EXPECT_EQ(request(host), HeadersAction::kContinue);
    EXPECT_EQ(host.request.get("x-plugin"), "go-example");
  }
}

TEST_F(ExamplesTest, GoJwtValidator) {
  spec_.memory_limit = std::size_t{64} << 20U;
  spec_.configuration = R"({"secret":"s3cret"})";
  if (!start_example("go_jwt_validator")) GTEST_FAIL() << "not built: run scripts/build-examples";
  FakeHost host(*worker_);
  EXPECT_NE(request(host), HeadersAction::kContinue);
  ASSERT_TRUE(host.reply.has_value()) << logged();
  EXPECT_EQ(host.reply->status, 401);
}

TEST_F(ExamplesTest, CppHeaderFilter) {
  spec_.configuration = "request X-From: heddle\nresponse X-Filter: cpp\n";
  if (!start_example("cpp_header_filter")) GTEST_FAIL() << "not built: run scripts/build-examples";
  FakeHost host(*worker_);
  EXPECT_EQ(request(host), HeadersAction::kContinue);
  EXPECT_EQ(host.request.get("x-from"), "heddle");
  EXPECT_EQ(host.response.get("x-filter"), "cpp");
}

TEST_F(ExamplesTest, AssemblyScriptResponseHeader) {
  spec_.configuration = "woven";
  spec_.root_id = "response_header";
  if (!start_example("as_response_header")) GTEST_FAIL() << "not built: run scripts/build-examples";
  for (int i = 0; i < 3; ++i) {
    FakeHost host(*worker_);
    EXPECT_EQ(request(host), HeadersAction::kContinue);
    EXPECT_EQ(host.response.get("x-woven-by"), "woven");
  }
}

}  // namespace
}  // namespace heddle::proxy_wasm
