// A plugin on a TCP connection: order of callbacks, data, continuing and closing, failure policies.
#include "contracts/proxy_wasm/network_context.h"

#include <string>

#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using extension::FailurePolicy;
using extension::NetworkAction;
using extension::Peer;

constexpr std::string_view kZero = "(i32.const 0)";
constexpr std::string_view kOne = "(i32.const 1)";
constexpr std::int64_t kAll = 0x7fffffff;

class FakeConnection final : public extension::NetworkFilterHost {
 public:
  explicit FakeConnection(net::Worker& worker) : worker_(worker) {
    connection_.id = 5;
    connection_.remote_address = "10.0.0.1:5000";
    connection_.remote_port = 5000;
    connection_.local_address = "10.0.0.2:7000";
    connection_.local_port = 7000;
    info_.connection = &connection_;
    info_.request_id = "the-connection";
    info_.upstream = "store";
    info_.upstream_address = "10.0.0.3:9000";
  }
  net::Worker& worker() override { return worker_; }
  const extension::ExchangeInfo& info() const override { return info_; }
  http::Buffer* downstream_data() override { return has_downstream ? &downstream : nullptr; }
  http::Buffer* upstream_data() override { return has_upstream ? &upstream : nullptr; }
  void continue_downstream() override { ++continued_downstream; }
  void continue_upstream() override { ++continued_upstream; }
  void close() override { ++closed; }
  extension::Properties& properties() override { return properties_; }

  http::Buffer downstream;
  http::Buffer upstream;
  bool has_downstream = false;
  bool has_upstream = false;
  int continued_downstream = 0;
  int continued_upstream = 0;
  int closed = 0;

 private:
  net::Worker& worker_;
  http::ConnectionInfo connection_;
  extension::ExchangeInfo info_;
  extension::Properties properties_;
};

class NetworkContextTest : public ProxyWasmTest {
 protected:
  void SetUp() override {
    ProxyWasmTest::SetUp();
    connection_ = std::make_unique<FakeConnection>(*worker_);
  }
  void TearDown() override {
    filter_.reset();
    if (plugin_ != nullptr) {
      const net::Worker::Scope scope(*worker_);
      plugin_->stop(*worker_);
    }
    plugin_.reset();
    ProxyWasmTest::TearDown();
  }

  void on(std::string_view name, int parameters, std::string_view body,
          std::string_view result = {}) {
    std::string text = "(func (export \"proxy_on_" + std::string(name) + "\")";
    for (int i = 0; i < parameters; ++i) text += " (param i32)";
    if (!result.empty()) text += " (result i32)";
    guest_.add(text + " " + std::string(body) + " " + std::string(result) + ")");
  }
  void trace(std::string_view name, int parameters, std::string_view result = {}) {
    on(name, parameters, guest_.log(name), result);
  }
  void open() {
    start(guest_);
    filter_ = plugin_->create_network(*connection_);
  }
  NetworkAction downstream(std::string_view bytes, bool end = false) {
    connection_->downstream.append(bytes);
    connection_->has_downstream = true;
    return filter_->on_downstream_data(connection_->downstream, end);
  }

  Guest guest_;
  std::unique_ptr<FakeConnection> connection_;
  std::unique_ptr<extension::NetworkFilter> filter_;
};

TEST_F(NetworkContextTest, OrderOfCallbacks) {
  trace("context_create", 2);
  trace("new_connection", 1, kZero);
  trace("downstream_data", 3, kZero);
  trace("upstream_data", 3, kZero);
  trace("downstream_connection_close", 2);
  trace("upstream_connection_close", 2);
  trace("done", 1, kOne);
  trace("log", 1);
  trace("delete", 1);
  open();
  EXPECT_EQ(filter_->on_new_connection(), NetworkAction::kContinue);
  EXPECT_EQ(downstream("hello"), NetworkAction::kContinue);
  http::Buffer answer;
  EXPECT_EQ(filter_->on_upstream_data(answer, true), NetworkAction::kContinue);
  filter_->on_upstream_close(Peer::kUnknown);
  filter_->on_downstream_close(Peer::kLocal);
  filter_.reset();
  const std::vector<std::string> expected = {"context_create",
                                             "context_create",
                                             "context_create",
                                             "new_connection",
                                             "downstream_data",
                                             "upstream_data",
                                             "upstream_connection_close",
                                             "downstream_connection_close",
                                             "done",
                                             "log",
                                             "delete"};
  EXPECT_EQ(messages(), expected) << "canary, worker, connection";
}

TEST_F(NetworkContextTest, PhasesDecideWhichCallbacksRun) {
  trace("new_connection", 1, kZero);
  trace("downstream_data", 3, kOne);
  trace("log", 1);
  spec_.phases = {"on_new_connection"};
  open();
  EXPECT_EQ(filter_->on_new_connection(), NetworkAction::kContinue);
  EXPECT_EQ(downstream("hello"), NetworkAction::kContinue);
  filter_.reset();
  EXPECT_EQ(messages(), std::vector<std::string>{"new_connection"});
}

TEST_F(NetworkContextTest, APluginWithoutThoseCallbacksIsNotAsked) {
  trace("request_headers", 3, kZero);
  start(guest_);
  EXPECT_EQ(plugin_->network_filter(), nullptr);
}

TEST_F(NetworkContextTest, PausesAndContinuesBothDirections) {
  on("downstream_data", 3, "", kOne);
  on("upstream_data", 3,
     "(drop " + guest_.invoke("proxy_continue_stream", {2}) + ") (drop " +
         guest_.invoke("proxy_continue_stream", {3}) + ") (drop " +
         guest_.invoke("proxy_continue_stream", {0}) + ")",
     kOne);
  open();
  filter_->on_new_connection();
  EXPECT_EQ(downstream("hello"), NetworkAction::kStop);
  http::Buffer answer;
  EXPECT_EQ(filter_->on_upstream_data(answer, false), NetworkAction::kStop);
  EXPECT_EQ(connection_->continued_downstream, 1);
  EXPECT_EQ(connection_->continued_upstream, 1);
}

TEST_F(NetworkContextTest, ReadsAndChangesWhatItHolds) {
  on("downstream_data", 3,
     "(drop " + guest_.invoke("proxy_set_buffer_bytes", {2, 0, 0, guest_.text("<<"), 2}) +
         ") (drop " + guest_.invoke("proxy_set_buffer_bytes", {2, kAll, 0, guest_.text(">>"), 2}) +
         ") (drop " + guest_.invoke("proxy_set_buffer_bytes", {0, 0, kAll, guest_.text("no"), 2}) +
         ") (drop " + guest_.invoke("proxy_set_buffer_bytes", {3, 0, kAll, guest_.text("no"), 2}) +
         ") (if (i32.ne " +
         guest_.invoke("proxy_get_buffer_bytes", {3, 0, 9, Guest::kOut, Guest::kOut + 8}) +
         " (i32.const 0)) (then unreachable))",
     kZero);
  open();
  filter_->on_new_connection();
  EXPECT_EQ(downstream("hello"), NetworkAction::kContinue);
  EXPECT_EQ(connection_->downstream.to_string(), "<<hello>>");
}

TEST_F(NetworkContextTest, ClosesEitherWay) {
  on("downstream_data", 3,
     "(drop " + guest_.invoke("proxy_close_stream", {2}) + ") (drop " +
         guest_.invoke("proxy_close_stream", {3}) + ") (drop " +
         guest_.invoke("proxy_close_stream", {1}) + ")",
     kZero);
  open();
  filter_->on_new_connection();
  downstream("hello");
  EXPECT_EQ(connection_->closed, 2);
}

TEST_F(NetworkContextTest, HttpHasNoMeaningHere) {
  on("downstream_data", 3,
     // No headers to read or write, nothing to answer, no attributes of a request.
     "(if (i32.ne " +
         guest_.invoke("proxy_get_header_map_value",
                       {0, guest_.text(":path"), 5, Guest::kOut, Guest::kOut + 8}) +
         " (i32.const 1)) (then unreachable)) (if (i32.ne " +
         guest_.invoke("proxy_add_header_map_value", {0, guest_.text("a"), 1, 0, 0}) +
         " (i32.const 2)) (then unreachable)) (if (i32.ne " +
         guest_.invoke("proxy_send_local_response", {403, 0, 0, 0, 0, 0, 0, -1}) +
         " (i32.const 0)) (then unreachable)) (if (i32.ne " +
         guest_.invoke("proxy_get_property", {guest_.text(std::string("request\0path", 12)), 12,
                                              Guest::kOut, Guest::kOut + 8}) +
         " (i32.const 1)) (then unreachable)) (if (i32.ne " +
         guest_.invoke("proxy_get_property", {guest_.text(std::string("source\0address", 14)), 14,
                                              Guest::kOut, Guest::kOut + 8}) +
         " (i32.const 0)) (then unreachable)) (if (i32.ne " +
         guest_.invoke("proxy_set_property", {guest_.text("mine"), 4, guest_.text("value"), 5}) +
         " (i32.const 0)) (then unreachable))",
     kZero);
  open();
  filter_->on_new_connection();
  EXPECT_EQ(downstream("hello"), NetworkAction::kContinue) << logged();
  EXPECT_EQ(connection_->closed, 0) << logged();
  EXPECT_EQ(connection_->properties().at("mine").value, "value");
}

TEST_F(NetworkContextTest, ATrapClosesOrLetsPass) {
  for (const FailurePolicy policy : {FailurePolicy::kClosed, FailurePolicy::kOpen}) {
    const bool open_policy = policy == FailurePolicy::kOpen;
    spec_.on_failure = policy;
    guest_ = Guest();
    on("downstream_data", 3, "", kOne);
    on("upstream_data", 3, "unreachable", kZero);
    connection_ = std::make_unique<FakeConnection>(*worker_);
    open();
    {
      const net::Worker::Scope scope(*worker_);
      filter_->on_new_connection();
      EXPECT_EQ(downstream("hello"), NetworkAction::kStop);
      http::Buffer answer;
      EXPECT_EQ(filter_->on_upstream_data(answer, false),
                open_policy ? NetworkAction::kContinue : NetworkAction::kStop);
      EXPECT_EQ(connection_->closed > 0, !open_policy);
      EXPECT_EQ(connection_->continued_downstream, open_policy ? 1 : 0) << "what it held goes on";
      EXPECT_EQ(downstream("more"), open_policy ? NetworkAction::kContinue : NetworkAction::kStop);
      filter_->on_upstream_close(Peer::kRemote);
      filter_->on_downstream_close(Peer::kRemote);
      filter_.reset();
      plugin_->stop(*worker_);
    }
  }
}

}  // namespace
}  // namespace heddle::proxy_wasm
