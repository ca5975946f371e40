// Plugins that share a VM, routes that configure a plugin, and plugins that may not do everything.
#include <string>

#include "contracts/proxy_wasm/capabilities.h"
#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using extension::FailurePolicy;
using extension::HeadersAction;

class SharedVmTest : public ProxyWasmTest {
 protected:
  void SetUp() override {
    ProxyWasmTest::SetUp();
    spec_.vm_id = "shared";
    scope_.emplace(*worker_);
  }
  void TearDown() override {
    for (const auto& plugin : plugins_) plugin->stop(*worker_);
    plugins_.clear();
    scope_.reset();
    ProxyWasmTest::TearDown();
  }

  std::shared_ptr<Plugin> add(const std::string& name) {
    spec_.name = name;
    auto loaded = load(guest_.wat());
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message << "\n" << guest_.wat();
    if (!loaded) return nullptr;
    plugins_.push_back(std::static_pointer_cast<Plugin>(*loaded));
    return plugins_.back();
  }
  void drop(std::shared_ptr<Plugin>& plugin) {
    plugin->stop(*worker_);
    std::erase(plugins_, plugin);
    plugin.reset();
  }
  HeadersAction headers(extension::HttpFilterFactory& factory) {
    auto filter = factory.create(*host_);
    return filter->on_request_headers(host_->request, true);
  }
  void on(std::string_view name, int parameters, std::string_view body,
          std::string_view result = {}) {
    std::string out = "(func (export \"proxy_on_" + std::string(name) + "\")";
    for (int i = 0; i < parameters; ++i) out += " (param i32)";
    if (!result.empty()) out += " (result i32)";
    guest_.add(out + " " + std::string(body) + " " + std::string(result) + ")");
  }
  // Each request gets the next number of the VM: 1 holds it back, 2 lets it go on, 3 buffers it.
  void counting() {
    on("request_headers", 3, "(global.set $x (i32.add (global.get $x) (i32.const 1)))",
       "(global.get $x)");
  }
  // WAT that logs what a call gave at the out parameters.
  std::string log_result(std::string_view name, const std::vector<std::int64_t>& arguments) {
    guest_.invoke("proxy_log", {0, 0, 0});
    return "(drop " + guest_.invoke(name, arguments) +
           ") (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 64)) "
           "(i32.load (i32.const 72))))";
  }

  std::optional<net::Worker::Scope> scope_;
  std::vector<std::shared_ptr<Plugin>> plugins_;
  Guest guest_;
};

constexpr auto kFirst = HeadersAction::kStopAllWatermark;
constexpr auto kSecond = HeadersAction::kContinue;
constexpr auto kThird = HeadersAction::kStopAllBuffer;

TEST_F(SharedVmTest, PluginsOfOneVmIdConfigurationAndCodeAreInOneVm) {
  counting();
  const auto one = add("one");
  const auto two = add("two");
  EXPECT_EQ(headers(*one), kFirst);
  EXPECT_EQ(headers(*two), kSecond);
  EXPECT_EQ(one->stats().instances, 1U);
  EXPECT_EQ(two->stats().instances, 1U);
  EXPECT_EQ(two->stats().exchanges, 1U);
  spec_.vm_configuration = "other";
  EXPECT_EQ(headers(*add("three")), kFirst);
  spec_.vm_configuration.clear();
  spec_.environment = {"KEY=secret of four"};
  EXPECT_EQ(headers(*add("four")), kFirst);
  spec_.environment.clear();
  spec_.vm_id = "";
  EXPECT_EQ(headers(*add("five")), kFirst);
  EXPECT_EQ(headers(*add("six")), kFirst) << "without a vm_id each plugin has its own VM";
  spec_.vm_id = "shared";
  guest_.add("(func)");
  EXPECT_EQ(headers(*add("other code")), kFirst);
}

TEST_F(SharedVmTest, EachHasItsOwnRootAndConfiguration) {
  const std::uint32_t path = guest_.text("plugin_root_id");
  on("context_create", 2, log_result("proxy_get_property", {path, 14, 64, 72}));
  on("configure", 2, log_result("proxy_get_buffer_bytes", {7, 0, 1000, 64, 72}), "(i32.const 1)");
  on("vm_start", 2, guest_.log("vm_start"), "(i32.const 1)");
  on("request_headers", 3, log_result("proxy_get_property", {path, 14, 64, 72}), "(i32.const 0)");
  spec_.root_id = "root-a";
  spec_.configuration = "config-a";
  const auto one = add("one");
  spec_.root_id = "root-b";
  spec_.configuration = "config-b";
  const auto two = add("two");
  const std::size_t canaries = messages().size();
  headers(*two);
  headers(*one);
  auto seen = messages();
  seen.erase(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>(canaries));
  const std::vector<std::string> expected = {"root-b", "vm_start", "config-b", "root-b", "root-b",
                                             "root-a", "vm_start", "config-a", "root-a", "root-a"};
  EXPECT_EQ(seen, expected);
}

TEST_F(SharedVmTest, ATrapEndsThemTogether) {
  on("request_headers", 3,
     "(if (i32.eqz (local.get 2)) (then unreachable))"
     "(global.set $x (i32.add (global.get $x) (i32.const 1)))",
     "(global.get $x)");
  const auto one = add("one");
  spec_.on_failure = FailurePolicy::kOpen;
  const auto two = add("two");
  EXPECT_EQ(headers(*one), kFirst);
  EXPECT_EQ(headers(*two), kSecond);
  auto bystander = two->create(*host_);
  EXPECT_EQ(bystander->on_request_headers(host_->request, true), kThird);
  auto failing = one->create(*host_);
  EXPECT_EQ(failing->on_request_headers(host_->request, false), HeadersAction::kStopAllWatermark);
  EXPECT_TRUE(host_->reply.has_value());
  EXPECT_EQ(host_->continued_request, 1) << "the bystander waited, and its plugin fails open";
  EXPECT_NE(two->stats().last_error.find("shares with plugin one"), std::string::npos);
  EXPECT_EQ(headers(*two), kFirst) << "a fresh VM";
  EXPECT_EQ(headers(*one), kSecond) << "which both share";
}

TEST_F(SharedVmTest, OneLeavesAndTheOtherStays) {
  counting();
  on("done", 1, guest_.log("done"), "(i32.const 1)");
  on("delete", 1, guest_.log("delete"));
  auto one = add("one");
  const auto two = add("two");
  EXPECT_EQ(headers(*one), kFirst);
  EXPECT_EQ(headers(*two), kSecond);
  const std::size_t before = messages().size();
  EXPECT_EQ(before, 4U) << "of the streams";
  drop(one);
  EXPECT_EQ(messages().size(), 6U);
  EXPECT_EQ(headers(*two), kThird);
}

TEST_F(SharedVmTest, ReloadingAloneGivesAFreshVmAndBesideOthersNone) {
  counting();
  const auto one = add("one");
  EXPECT_EQ(headers(*one), kFirst);
  spec_.version = 2;
  const auto again = add("one");
  EXPECT_EQ(headers(*again), kFirst);
  const auto two = add("two");
  EXPECT_EQ(headers(*two), kSecond);
  spec_.version = 3;
  EXPECT_EQ(headers(*add("one")), kThird);
}

TEST_F(SharedVmTest, TokensAreUniqueInTheVmAndMetricsAreThePlugins) {
  const std::uint32_t name = guest_.text("auth");
  const std::uint32_t metric = guest_.text("seen");
  std::string pairs(
      "\3\0\0\0\7\0\0\0\3\0\0\0\5\0\0\0\1\0\0\0\12\0\0\0\1\0\0\0"
      ":method\0GET\0:path\0/\0:authority\0a\0",
      28 + 12 + 8 + 13);
  const std::uint32_t head = guest_.text(pairs);
  on("request_headers", 3,
     "(drop " +
         guest_.invoke("proxy_http_call", {name, 4, head, static_cast<std::int64_t>(pairs.size()),
                                           0, 0, 0, 0, 0, 64}) +
         ")(drop " + guest_.invoke("proxy_define_metric", {0, metric, 4, 72}) + ")(drop " +
         guest_.invoke("proxy_log", {2, 64, 4}) + ")" +
         "(call $proxy_increment_metric (i32.load (i32.const 72)) (i64.const 1)) drop",
     "(i32.sub (i32.load (i32.const 64)) (i32.const 4))");
  guest_.invoke("proxy_increment_metric", {0, 0});
  const auto one = add("one");
  const auto two = add("two");
  EXPECT_EQ(headers(*one), HeadersAction::kContinue) << "token 4";
  EXPECT_EQ(headers(*two), HeadersAction::kStopAllWatermark) << "token 8";
  EXPECT_EQ(counter("heddle_plugin_custom_seen", {{"plugin", "one"}}), 1U);
  EXPECT_EQ(counter("heddle_plugin_custom_seen", {{"plugin", "two"}}), 1U);
}

TEST_F(SharedVmTest, RoutesConfigureAPluginInItsVm) {
  spec_.vm_id = "";
  counting();
  on("configure", 2, log_result("proxy_get_buffer_bytes", {7, 0, 1000, 64, 72}), "(i32.const 1)");
  spec_.configuration = "own";
  spec_.route_configurations = {"for-a", "for-b"};
  const auto plugin = add("one");
  const std::vector<std::string> configured = {"own", "for-a", "for-b"};
  EXPECT_EQ(messages(), configured) << "the canary tries all of them";
  ASSERT_TRUE(plugin->start(*worker_).has_value());
  EXPECT_EQ(messages().size(), 6U);
  EXPECT_EQ(plugin->stats().instances, 1U);
  auto for_a = plugin->http_filter("for-a");
  auto for_b = plugin->http_filter("for-b");
  ASSERT_TRUE(for_a != nullptr && for_b != nullptr);
  EXPECT_EQ(plugin->http_filter("for-c"), nullptr);
  EXPECT_EQ(headers(*for_a), kFirst);
  EXPECT_EQ(headers(*for_b), kSecond);
  EXPECT_EQ(headers(*plugin), kThird);
  EXPECT_EQ(plugin->stats().exchanges, 3U);
}

TEST_F(SharedVmTest, AConfigurationOfARouteThatIsRefusedIsNamed) {
  on("configure", 2, "", "(i32.lt_u (local.get 1) (i32.const 5))");
  spec_.configuration = "own";
  spec_.route_configurations = {"fine", "too long"};
  const auto loaded = load(guest_.wat());
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("config too long of a route"), std::string::npos)
      << loaded.error().message;
}

TEST_F(SharedVmTest, MissingCapabilities) {
  const std::uint32_t key = guest_.text("key");
  on("request_headers", 3, "",
     guest_.invoke("proxy_set_shared_data", {key, 3, 0, 0, 0}));  // status as the action
  on("response_headers", 3, guest_.log("response_headers"), "(i32.const 0)");
  spec_.capabilities = {"proxy_log", "proxy_on_response_headers", "proxy_on_request_headers"};
  auto plugin = add("one");
  EXPECT_TRUE(plugin->interest().request_headers);
  EXPECT_EQ(headers(*plugin), HeadersAction::kStopAllWatermark) << "INTERNAL_FAILURE";
  EXPECT_FALSE(shared_data_.get("shared", "key").has_value());
  EXPECT_NE(logged().find("proxy_set_shared_data"), std::string::npos);
  spec_.capabilities = {"proxy_set_shared_data", "proxy_on_request_headers"};
  plugin = add("two");
  EXPECT_FALSE(plugin->interest().response_headers);
  EXPECT_EQ(headers(*plugin), HeadersAction::kContinue);
  EXPECT_TRUE(shared_data_.get("shared", "key").has_value());
}

TEST_F(SharedVmTest, CapabilitiesOfWasiAndOldNames) {
  constexpr std::string_view kWat = R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_continue_request" (func $c))
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_1_0"))
    (func (export "malloc") (param i32) (result i32) (i32.const 64))
    (func (export "proxy_on_configure") (param i32 i32) (result i32)
      (call $c) (i32.eq (call $w (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0))
                        (i32.const 76)))))";
  spec_.capabilities = {"proxy_on_configure"};
  EXPECT_TRUE(load(kWat).has_value());
  spec_.capabilities = {"proxy_on_configure", "fd_write"};
  EXPECT_FALSE(load(kWat).has_value());
}

TEST_F(SharedVmTest, CapabilitiesAreKnownNames) {
  spec_.capabilities = {"proxy_on_request_headers", "proxy_lag"};
  const auto loaded = load(guest_.wat());
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("\"proxy_lag\" is no host call"), std::string::npos);
  for (const std::string_view name : {"proxy_log", "fd_write", "proxy_on_tick", "proxy_done"}) {
    EXPECT_TRUE(is_capability(name)) << name;
  }
  for (const std::string_view name : {"malloc", "abort", "_start", "log", ""}) {
    EXPECT_FALSE(is_capability(name)) << name;
  }
}

}  // namespace
}  // namespace heddle::proxy_wasm
