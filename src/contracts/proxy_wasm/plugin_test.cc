// A whole plugin on a worker: order of callbacks, return values, failure policies, ticks, calls,
// phases, log limits.
#include <string>

#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using extension::DataAction;
using extension::FailurePolicy;
using extension::HeadersAction;
using extension::TrailersAction;

std::string callback(std::string_view name, int parameters, std::string_view body,
                     std::string_view result) {
  std::string out = "(func (export \"proxy_on_" + std::string(name) + "\")";
  for (int i = 0; i < parameters; ++i) out += " (param i32)";
  if (!result.empty()) out += " (result i32)";
  return out + " " + std::string(body) + " " + std::string(result) + ")";
}

constexpr std::string_view kZero = "(i32.const 0)";
constexpr std::string_view kOne = "(i32.const 1)";

class PluginTest : public ProxyWasmTest {
 protected:
  void on(std::string_view name, int parameters, std::string_view body,
          std::string_view result = {}) {
    guest_.add(callback(name, parameters, body, result));
  }
  // Every callback logs its name.
  void trace_all() {
    const auto trace = [&](std::string_view name, int parameters, std::string_view result = {}) {
      on(name, parameters, guest_.log(name), result);
    };
    trace("context_create", 2);
    trace("vm_start", 2, kOne);
    trace("configure", 2, kOne);
    trace("request_headers", 3, kZero);
    trace("request_body", 3, kZero);
    trace("request_trailers", 2, kZero);
    trace("response_headers", 3, kZero);
    trace("response_body", 3, kZero);
    trace("response_trailers", 2, kZero);
    trace("done", 1, kOne);
    trace("log", 1);
    trace("delete", 1);
  }
  HeadersAction request_headers(extension::HttpFilter& filter) {
    return filter.on_request_headers(host_->request, false);
  }
  template <typename Task>
  void in_scope(Task task) {
    const net::Worker::Scope scope(*worker_);
    task();
  }
  void TearDown() override {
    if (plugin_ != nullptr) {
      const net::Worker::Scope scope(*worker_);
      plugin_->stop(*worker_);
    }
    plugin_.reset();
    ProxyWasmTest::TearDown();
  }

  Guest guest_;
};

TEST_F(PluginTest, OrderOfCallbacks) {
  trace_all();
  start(guest_);
  const std::vector<std::string> begun = {"context_create", "vm_start", "configure"};
  EXPECT_EQ(messages(), begun) << "the canary goes without on_done";
  in_scope([&] {
    auto each = filter();
    EXPECT_EQ(messages().size(), 6U) << "the worker's VM; no stream context before it is needed";
    http::Buffer body;
    EXPECT_EQ(request_headers(*each), HeadersAction::kContinue);
    EXPECT_EQ(each->on_request_data(body, true), DataAction::kContinue);
    EXPECT_EQ(each->on_response_headers(host_->response, false), HeadersAction::kContinue);
    EXPECT_EQ(each->on_response_data(body, true), DataAction::kContinue);
    EXPECT_EQ(each->on_response_trailers(host_->response_trailer), TrailersAction::kContinue);
    each->on_log();
    each.reset();
    plugin_->stop(*worker_);
  });
  const std::vector<std::string> all = {"context_create",
                                        "vm_start",
                                        "configure",
                                        "context_create",
                                        "vm_start",
                                        "configure",
                                        "context_create",
                                        "request_headers",
                                        "request_body",
                                        "response_headers",
                                        "response_body",
                                        "response_trailers",
                                        "log",
                                        "done",
                                        "delete",
                                        "done",
                                        "delete"};
  EXPECT_EQ(messages(), all);
  EXPECT_EQ(plugin_->stats().exchanges, 1U);
  EXPECT_EQ(plugin_->stats().instances, 0U);
  EXPECT_EQ(counter("heddle_plugin_calls_total",
                    {{"plugin", "tested"}, {"callback", "on_request_headers"}}),
            1U);
}

TEST_F(PluginTest, PhasesAndExportsDecideInterest) {
  trace_all();
  spec_.phases = {"on_request_headers", "on_log"};
  start(guest_);
  const auto interest = plugin_->interest();
  EXPECT_TRUE(interest.request_headers && interest.log);
  EXPECT_FALSE(interest.request_data || interest.request_trailers || interest.response_headers ||
               interest.response_data || interest.response_trailers);
  spec_.phases = {"all"};
  Guest small;
  small.add(callback("response_body", 3, "", kZero));
  start(small);
  EXPECT_TRUE(plugin_->interest().response_data);
  EXPECT_FALSE(plugin_->interest().request_headers || plugin_->interest().log);
  Guest none;
  start(none);
  EXPECT_EQ(filter(), nullptr);
}

TEST_F(PluginTest, ReturnValues) {
  on("request_headers", 3, "", "(local.get 1)");  // the number of headers is the answer
  on("request_body", 3, "", "(local.get 1)");
  on("request_trailers", 2, "", "(local.get 1)");
  for (const bool allow : {false, true}) {
    spec_.allow_on_headers_stop_iteration = allow;
    start(guest_);
    const std::vector<HeadersAction> headers = {
        HeadersAction::kContinue,
        allow ? HeadersAction::kStop : HeadersAction::kStopAllWatermark,
        HeadersAction::kContinue,
        HeadersAction::kStopAllBuffer,
        HeadersAction::kStopAllWatermark,
        HeadersAction::kStopAllWatermark};
    const std::vector<DataAction> data = {DataAction::kContinue, DataAction::kBuffer,
                                          DataAction::kWatermark, DataAction::kNoBuffer,
                                          DataAction::kNoBuffer};
    in_scope([&] {
      auto each = filter();
      host_->request.clear();
      for (const HeadersAction expected : headers) {
        EXPECT_EQ(request_headers(*each), expected);
        host_->request.add("x", "y");
      }
      http::Buffer body;
      for (const DataAction expected : data) {
        EXPECT_EQ(each->on_request_data(body, false), expected);
        body.append("b");
      }
      EXPECT_EQ(each->on_request_trailers(host_->request_trailer), TrailersAction::kContinue);
      each.reset();
      plugin_->stop(*worker_);
    });
  }
}

TEST_F(PluginTest, ALocalResponseStopsWhateverIsReturned) {
  on("request_headers", 3,
     "(drop " + guest_.invoke("proxy_send_local_response", {401, 0, 0, 0, 0, 0, 0, -1}) + ")",
     kZero);
  on("request_body", 3,
     "(drop " + guest_.invoke("proxy_send_local_response", {413, 0, 0, 0, 0, 0, 0, -1}) + ")",
     kZero);
  start(guest_);
  in_scope([&] {
    auto each = filter();
    EXPECT_EQ(request_headers(*each), HeadersAction::kStopAllWatermark);
    EXPECT_EQ(host_->reply->status, 401);
    http::Buffer body;
    EXPECT_EQ(each->on_request_data(body, true), DataAction::kNoBuffer);
  });
}

TEST_F(PluginTest, TwoParameterHeaderCallbacks) {
  guest_.add(
      R"((func (export "proxy_on_request_headers") (param i32 i32) (result i32) (i32.const 1)))");
  start(guest_);
  in_scope([&] { EXPECT_EQ(request_headers(*filter()), HeadersAction::kStopAllWatermark); });
}

class FailureTest : public PluginTest {
 protected:
  void trapping() {
    on("request_headers", 3, "(if (i32.eqz (local.get 2)) (then unreachable))", kZero);
    on("response_headers", 3, "", kZero);
    on("request_body", 3, "", kOne);
    start(guest_);
  }
};

TEST_F(FailureTest, ClosedAnswersOnceAndReplacesTheInstance) {
  trapping();
  in_scope([&] {
    auto bystander = filter();
    http::Buffer body;
    EXPECT_EQ(bystander->on_request_headers(host_->request, true), HeadersAction::kContinue);
    auto each = filter();
    EXPECT_EQ(request_headers(*each), HeadersAction::kStopAllWatermark);
    ASSERT_TRUE(host_->reply.has_value());
    EXPECT_EQ(host_->reply->status, 500);
    EXPECT_EQ(host_->reply->details, "wasm_fail_stream");
    EXPECT_NE(host_->reply->body.find(R"("code":"plugin_failed")"), std::string::npos);
    EXPECT_NE(host_->reply->body.find("tested"), std::string::npos);
    EXPECT_NE(host_->reply->body.find("the-request"), std::string::npos);
    EXPECT_EQ(each->on_response_headers(host_->response, false), HeadersAction::kContinue)
        << "its own answer passes";
    host_->reply.reset();
    EXPECT_EQ(bystander->on_response_headers(host_->response, false),
              HeadersAction::kStopAllWatermark)
        << "exchanges of the dead instance end by the policy";
    EXPECT_TRUE(host_->reply.has_value());
    auto fresh = filter();
    EXPECT_EQ(fresh->on_request_headers(host_->request, true), HeadersAction::kContinue);
  });
  EXPECT_EQ(plugin_->stats().errors, 1U);
  EXPECT_NE(plugin_->stats().last_error.find("unreachable"), std::string::npos);
  const std::string log = logged();
  EXPECT_NE(log.find("proxy_on_request_headers"), std::string::npos);
  EXPECT_NE(log.find("\"reason\":\"unreachable\""), std::string::npos) << log;
}

TEST_F(FailureTest, WaitingExchangesOfADeadInstanceAreAnswered) {
  trapping();
  in_scope([&] {
    auto waiting = filter();
    http::Buffer body;
    EXPECT_EQ(waiting->on_request_headers(host_->request, true), HeadersAction::kContinue);
    EXPECT_EQ(waiting->on_request_data(body, false), DataAction::kBuffer);
    FakeHost other(*worker_);
    auto each = plugin_->create(other);
    each->on_request_headers(other.request, false);
    EXPECT_TRUE(other.reply.has_value());
    EXPECT_TRUE(host_->reply.has_value()) << "nobody would resume it";
  });
}

TEST_F(FailureTest, OpenLetsPassAndResumes) {
  spec_.on_failure = FailurePolicy::kOpen;
  trapping();
  in_scope([&] {
    auto waiting = filter();
    http::Buffer body;
    waiting->on_request_headers(host_->request, true);
    EXPECT_EQ(waiting->on_request_data(body, false), DataAction::kBuffer);
    FakeHost other(*worker_);
    auto each = plugin_->create(other);
    EXPECT_EQ(each->on_request_headers(other.request, false), HeadersAction::kContinue);
    EXPECT_FALSE(other.reply.has_value());
    EXPECT_EQ(host_->continued_request, 1);
  });
}

TEST_F(FailureTest, ReloadStaysClosedForABackOff) {
  spec_.on_failure = FailurePolicy::kReload;
  spec_.failure_status = 503;
  trapping();
  in_scope([&] {
    request_headers(*filter());
    EXPECT_EQ(host_->reply->status, 503);
    host_->reply.reset();
    auto meanwhile = filter();
    EXPECT_EQ(meanwhile->on_request_headers(host_->request, true),
              HeadersAction::kStopAllWatermark);
    EXPECT_EQ(host_->reply->status, 503);
    EXPECT_EQ(meanwhile->on_response_headers(host_->response, true), HeadersAction::kContinue);
  });
}

TEST_F(FailureTest, TimeOutsAndHostCallFloodsAreLimitHits) {
  spec_.timeout = std::chrono::milliseconds(20);
  spec_.host_calls = 100;
  on("request_headers", 3, "(loop $l (br $l))", kZero);
  on("response_headers", 3,
     "(loop $l (drop " + guest_.invoke("proxy_get_log_level", {Guest::kOut}) + ") (br $l))", kZero);
  start(guest_);
  in_scope([&] {
    request_headers(*filter());
    filter()->on_response_headers(host_->response, true);
  });
  EXPECT_EQ(counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", "timeout"}}),
            1U);
  EXPECT_EQ(
      counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", "host_calls"}}),
      1U);
  EXPECT_EQ(plugin_->stats().limit_hits, 2U);
}

TEST_F(PluginTest, RefusalsAtLoad) {
  const auto error_of = [&](std::string_view name, std::string_view body, std::string_view result) {
    Guest guest;
    guest.add(callback(name, 2, body, result));
    auto loaded = load(guest.wat());
    return loaded ? std::string() : loaded.error().message;
  };
  EXPECT_NE(error_of("vm_start", "", kZero).find("proxy_on_vm_start returned false"),
            std::string::npos);
  EXPECT_NE(error_of("configure", "", kZero).find("proxy_on_configure returned false"),
            std::string::npos);
  const std::string trapped = error_of("configure", "unreachable", kZero);
  EXPECT_NE(trapped.find("unreachable"), std::string::npos) << trapped;
  EXPECT_NE(trapped.find("proxy_on_configure"), std::string::npos) << trapped;
  EXPECT_EQ(trapped.find('\n'), std::string::npos);
}

TEST_F(PluginTest, StartStyles) {
  const auto loads = [&](std::string_view functions) {
    const std::string wat =
        "(module (import \"wasi_snapshot_preview1\" \"proc_exit\" (func $exit (param i32)))"
        "(memory (export \"memory\") 1) (func (export \"proxy_abi_version_0_2_1\"))"
        "(func (export \"malloc\") (param i32) (result i32) (i32.const 8))" +
        std::string(functions) + ")";
    const auto loaded = load(wat);
    return loaded ? "ok" : loaded.error().message;
  };
  EXPECT_EQ(loads(""), "ok");
  EXPECT_EQ(loads(R"((func (export "_start") (call $exit (i32.const 0))))"), "ok");
  EXPECT_EQ(loads(R"((func (export "_initialize")) (func (export "_start") unreachable))"), "ok");
  EXPECT_EQ(loads(R"((func $s) (start $s))"), "ok");
  EXPECT_NE(loads(R"((func (export "_start") (call $exit (i32.const 3))))").find('3'),
            std::string::npos);
  EXPECT_NE(
      loads(
          R"((func (export "_initialize")) (func (export "main") (param i32 i32) (result i32) unreachable))"),
      "ok");
  EXPECT_NE(loads(R"((func (export "_start") (loop $l (br $l))))").find("timeout"),
            std::string::npos);
}

// There is no instance yet that a host call could act on.
TEST_F(PluginTest, AStartSectionMayLogAndNothingElse) {
  const auto wat = [](std::string_view call) {
    return "(module (import \"env\" \"proxy_log\" (func $log (param i32 i32 i32) (result i32)))"
           "(import \"env\" \"proxy_get_current_time_nanoseconds\" (func $time (param i32) (result "
           "i32))) (import \"env\" \"proxy_continue_request\" (func $continue))"
           "(memory (export \"memory\") 1) (data (i32.const 8) \"started\")"
           "(func (export \"proxy_abi_version_0_2_1\"))"
           "(func (export \"malloc\") (param i32) (result i32) (i32.const 8))"
           "(func $s " +
           std::string(call) + ") (start $s))";
  };
  EXPECT_TRUE(load(wat("(drop (call $log (i32.const 2) (i32.const 8) (i32.const 7)))")));
  EXPECT_EQ(messages(), std::vector<std::string>{"started"});
  EXPECT_TRUE(load(wat("(call $continue)")));
  const auto refused = load(wat("(drop (call $time (i32.const 8)))"));
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("start section"), std::string::npos)
      << refused.error().message;
}

TEST_F(PluginTest, ConfigurationIsReadWhileConfigured) {
  spec_.configuration = "{\"a\":1}";
  on("configure", 2,
     "(drop " + guest_.invoke("proxy_get_buffer_bytes", {7, 0, 100, Guest::kOut, Guest::kOut + 8}) +
         ") (drop (call $proxy_log (i32.const 2) (i32.load (i32.const 64)) (i32.load (i32.const "
         "72))))",
     "(i32.eq (local.get 1) (i32.const 7))");
  guest_.invoke("proxy_log", {2, 0, 0});
  start(guest_);
  EXPECT_NE(logged().find("{\\\"a\\\":1}"), std::string::npos);
}

TEST_F(PluginTest, LogLinesAreLimitedAndCut) {
  spec_.log_lines_per_second = 10;
  spec_.log_line_bytes = 16;
  const std::string line(40, 'y');
  std::string many;
  for (int i = 0; i < 50; ++i) many += guest_.log(line);
  on("request_headers", 3, many, kZero);
  start(guest_);
  in_scope([&] { request_headers(*filter()); });
  const auto lines = messages();
  EXPECT_LE(lines.size(), 21U);  // the edge of a second may lie between
  ASSERT_GE(lines.size(), 10U);
  EXPECT_EQ(lines.front(), std::string(16, 'y'));
  EXPECT_GE(counter("heddle_plugin_limit_hits_total",
                    {{"plugin", "tested"}, {"limit", "log_lines_per_second"}}),
            29U);
  in_scope([&] { plugin_->stop(*worker_); });
  plugin_.reset();
  EXPECT_NE(logged().find("were dropped"), std::string::npos) << "the rest is counted";
}

TEST_F(PluginTest, CallResponsesComeOnTheRootContextUnlessTheVmIsGone) {
  const std::string pairs = [] {
    Arena arena;
    http::HeaderMap map(arena);
    for (const char* name : {":method", ":path", ":authority"}) map.add(name, "x");
    std::string out(pairs_size(map), '\0');
    write_pairs(map, out.data());
    return out;
  }();
  on("request_headers", 3,
     "(drop " +
         guest_.invoke("proxy_http_call",
                       {guest_.text("auth"), 4, guest_.text(pairs),
                        static_cast<std::int64_t>(pairs.size()), 0, 0, 0, 0, 0, Guest::kOut}) +
         ")",
     kOne);
  // Logs the context's number, then resumes the stream 2.
  on("http_call_response", 5,
     "(if (i32.eq (local.get 0) (i32.const 1)) (then (if (i32.eq (local.get 1) (i32.const 4)) "
     "(then " +
         guest_.log("first") + "))" + "(if (i32.eqz (local.get 2)) (then " + guest_.log("failed") +
         "))" + "(drop " + guest_.invoke("proxy_set_effective_context", {2}) + ") (drop " +
         guest_.invoke("proxy_continue_stream", {0}) + ")))");
  start(guest_);
  in_scope([&] {
    auto each = filter();
    EXPECT_EQ(request_headers(*each), HeadersAction::kStopAllWatermark);
    ASSERT_EQ(upstreams_.calls.size(), 1U);
    extension::CallResponse answer;
    answer.head = http::make_head();
    answer.head->headers.add(":status", "200");
    answer.body.append("valid");
    auto call = upstreams_.calls[0];
    call->done(std::move(answer));
    EXPECT_EQ(host_->continued_request, 1);
    EXPECT_EQ(messages(), std::vector<std::string>{"first"});

    request_headers(*each);
    auto second = upstreams_.calls[1];
    each.reset();
    EXPECT_FALSE(second->cancelled) << "calls outlive their stream";
    second->done(fail(ErrorKind::kLimit, "too large"));
    EXPECT_NE(logged().find("\"failed\""), std::string::npos);
    EXPECT_EQ(host_->continued_request, 1) << "the stream is gone";
  });
}

TEST_F(PluginTest, TicksComeAgainAndAgain) {
  on("configure", 2, "(drop " + guest_.invoke("proxy_set_tick_period_milliseconds", {5}) + ")",
     kOne);
  on("tick", 1, guest_.log("tick"));
  start(guest_);
  EXPECT_TRUE(messages().empty()) << "the canary does not tick";
  worker_->start();
  std::promise<void> started;
  worker_->post([&] {
    EXPECT_TRUE(plugin_->start(*worker_).has_value());
    started.set_value();
  });
  started.get_future().wait();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (messages().size() < 3 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  EXPECT_GE(messages().size(), 3U);
  // The last reference goes on another thread: the VM is taken down on its worker.
  plugin_.reset();
  std::promise<void> gone;
  worker_->post([&] { gone.set_value(); });
  gone.get_future().wait();
  worker_->stop();
  worker_->join();
  EXPECT_EQ(metrics_.gauge("heddle_plugin_instances", "", {{"plugin", "tested"}})->value(), 0);
}

TEST_F(PluginTest, ARootThatIsNotDoneGoesAfterProxyDone) {
  on("done", 1, guest_.log("done"), kZero);
  on("delete", 1, guest_.log("delete"));
  on("configure", 2, "(drop " + guest_.invoke("proxy_set_tick_period_milliseconds", {5}) + ")",
     kOne);
  on("tick", 1, "(drop " + guest_.invoke("proxy_done", {}) + ")");
  start(guest_);
  worker_->start();
  std::promise<void> started;
  worker_->post([&] {
    EXPECT_TRUE(plugin_->start(*worker_).has_value());
    started.set_value();
  });
  started.get_future().wait();
  plugin_.reset();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(4);
  while (messages().size() < 2 && std::chrono::steady_clock::now() < deadline)
    std::this_thread::yield();
  const std::vector<std::string> expected = {"done", "delete"};
  EXPECT_EQ(messages(), expected);
  worker_->stop();
  worker_->join();
}

TEST_F(PluginTest, AStoppedWorkerDropsItsVm) {
  on("done", 1, guest_.log("done"), kOne);
  start(guest_);
  in_scope([&] { EXPECT_TRUE(plugin_->start(*worker_).has_value()); });
  plugin_.reset();  // posted to a worker that never runs again
  EXPECT_TRUE(messages().empty());
  worker_.reset();
  EXPECT_EQ(metrics_.gauge("heddle_plugin_instances", "", {{"plugin", "tested"}})->value(), 0);
}

TEST_F(PluginTest, QueueItemsReachTheRegisteringRoot) {
  on("configure", 2,
     "(drop " + guest_.invoke("proxy_register_shared_queue", {guest_.text("q"), 1, Guest::kOut}) +
         ")",
     kOne);
  on("queue_ready", 2, guest_.log("queue"));
  start(guest_);
  worker_->start();
  std::promise<void> started;
  worker_->post([&] {
    EXPECT_TRUE(plugin_->start(*worker_).has_value());
    started.set_value();
  });
  started.get_future().wait();
  ASSERT_TRUE(shared_queues_.enqueue(*shared_queues_.resolve("", "q"), "item").has_value());
  std::promise<void> ran;
  worker_->post([&] {
    plugin_->stop(*worker_);
    ran.set_value();
  });
  ran.get_future().wait();
  EXPECT_EQ(messages(), std::vector<std::string>{"queue"});
  EXPECT_TRUE(shared_queues_.enqueue(1, "nobody listens").has_value());
  worker_->stop();
  worker_->join();
}

TEST_F(PluginTest, SharedDataGoesWithTheLastPluginOfItsVmId) {
  spec_.vm_id = "mine";
  start(guest_);
  ASSERT_TRUE(shared_data_.set("mine", "k", "v", 0).has_value());
  auto second = load(guest_.wat());
  ASSERT_TRUE(second.has_value());
  plugin_.reset();
  EXPECT_TRUE(shared_data_.get("mine", "k").has_value());
  second->reset();
  EXPECT_FALSE(shared_data_.get("mine", "k").has_value());
}

}  // namespace
}  // namespace heddle::proxy_wasm
