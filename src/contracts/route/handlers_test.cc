#include "contracts/route/handlers.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <future>

#include "contracts/route/manifest.h"
#include "contracts/route/plugin.h"
#include "services/event_bus.h"
#include "services/key_value.h"
#include "services/sql.h"
#include "services/test_support.h"

namespace heddle::route {
namespace {

using std::chrono::milliseconds;

// Keeps values in memory; answers as an event of its own, as every service does. `slow`: answers
// only when told to.
class MemoryState final : public services::KeyValue {
 public:
  services::Pending get(net::Worker& worker, std::string /*plugin*/, std::string key,
                        services::Completion<Value>::Callback done) override {
    auto call = services::Completion<Value>::create(worker, std::move(done));
    if (slow) {
      held.push_back(call);
    } else {
      const auto found = values.find(key);
      call->finish(found == values.end() ? Value() : Value(found->second));
    }
    return call->handle();
  }
  services::Pending set(net::Worker& worker, std::string /*plugin*/, std::string key,
                        std::string value, services::Completion<Done>::Callback done) override {
    values[key] = std::move(value);
    auto call = services::Completion<Done>::create(worker, std::move(done));
    call->finish(Done{});
    return call->handle();
  }
  services::Pending remove(net::Worker& worker, std::string /*plugin*/, std::string key,
                           services::Completion<bool>::Callback done) override {
    auto call = services::Completion<bool>::create(worker, std::move(done));
    call->finish(values.erase(key) > 0);
    return call->handle();
  }
  services::Pending list(net::Worker& /*worker*/, std::string /*plugin*/, std::string /*prefix*/,
                         std::string /*after*/, std::size_t /*count*/,
                         services::Completion<Keys>::Callback /*done*/) override {
    return nullptr;
  }
  services::Pending clear(net::Worker& /*worker*/, std::string /*plugin*/,
                          services::Completion<Done>::Callback /*done*/) override {
    return nullptr;
  }

  std::map<std::string, std::string> values;
  std::vector<std::shared_ptr<services::Completion<Value>>> held;
  bool slow = false;
};

// Keeps what it was asked; refuses.
class RefusingSql final : public services::Sql {
 public:
  services::Pending run(net::Worker& worker, services::SqlRequest request, Callback done) override {
    asked.push_back(std::move(request));
    auto call = services::Completion<services::SqlResult>::create(worker, std::move(done));
    call->finish(fail(ErrorKind::kUnavailable, "not now"));
    return call->handle();
  }
  std::vector<services::SqlRequest> asked;
};

struct Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string, std::less<>> headers;
};

class Client final : public http::Receiver {
 public:
  void on_informational(http::HeadPtr /*head*/) override {}
  void on_head(http::HeadPtr head, bool /*end*/) override {
    answer.status = head->status();
    for (const auto& [name, value] : head->headers) answer.headers.emplace(name, value);
  }
  void on_data(http::Buffer& data, bool /*end*/) override { answer.body += data.to_string(); }
  void on_trailers(http::HeadPtr /*trailers*/) override {}
  void on_reset(http::StreamError /*error*/, std::string_view /*detail*/) override {}
  void on_writable() override {}
  void on_complete() override { done.set_value(answer); }

  Answer answer;
  std::promise<Answer> done;
};

class HandlersTest : public testing::Test {
 public:
  ~HandlersTest() override {
    if (handlers_ == nullptr) return;
    worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  }

 protected:
  HandlersTest() {
    auto made =
        sandbox::Engine::create({.instances = 4, .suspendable_instances = 32}, *log_, metrics_);
    engine_ = std::move(*made);
    spec_.name = "notes";
    spec_.memory_limit = std::size_t{4} << 20U;
    spec_.timeout = milliseconds(5000);
    spec_.body_limit = std::size_t{1} << 20U;
    spec_.log_lines_per_second = 1000;
    spec_.log_line_bytes = 4096;
    spec_.host_calls = 10'000;
  }

  Result<void> load(std::string_view text, std::string_view manifest = kManifest) {
    auto module = engine_->compile(std::as_bytes(std::span(text)), "notes");
    if (!module) return std::unexpected(module.error());
    auto parsed = parse_manifest(manifest);
    if (!parsed) return std::unexpected(parsed.error());
    auto made =
        Handlers::create(Dependencies{.engine = *engine_,
                                      .log = *log_,
                                      .metrics = metrics_,
                                      .services = {.sql = &sql_, .state = &state_}},
                         spec_, *module, std::make_shared<const RouteManifest>(std::move(*parsed)));
    if (!made) return std::unexpected(made.error());
    handlers_ = std::move(*made);
    return {};
  }

  // A call under way.
  struct Exchange {
    Client client;
    extension::ExchangeInfo info;
    http::Sender* sender = nullptr;
  };
  std::unique_ptr<Exchange> begin(std::string_view method = "GET", std::string_view target = "/x",
                                  std::string_view body = {},
                                  std::string_view type = "application/json",
                                  std::size_t route = 0) {
    auto out = std::make_unique<Exchange>();
    out->info.request_id = "r-1";
    worker_.on_worker([&] {
      out->sender = &handlers_->origin(route).start(worker_.worker, out->info, out->client);
      http::HeadPtr head = http::make_head();
      head->headers.add(":method", method);
      head->headers.add(":path", target);
      head->headers.add("content-type", type);
      out->sender->send_head(head->headers, body.empty());
      if (body.empty()) return;
      http::Buffer data;
      data.append(body);
      out->sender->send_data(std::move(data), true);
    });
    return out;
  }
  static Answer end(Exchange& exchange) {
    auto future = exchange.client.done.get_future();
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) return {};
    return future.get();
  }
  Answer call(std::string_view method = "GET", std::string_view target = "/x",
              std::string_view body = {}, std::string_view type = "application/json") {
    const auto exchange = begin(method, target, body, type);
    return end(*exchange);
  }

  static constexpr std::string_view kManifest =
      R"({"name":"notes","version":"1.0.0","config":{"color":"red","size":3},
          "routes":[{"path":"/x","method":"GET","handler":"run"}]})";

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::unique_ptr<sandbox::Engine> engine_;
  MemoryState state_;
  RefusingSql sql_;
  extension::PluginSpec spec_;
  services::TestWorker worker_;
  std::shared_ptr<Handlers> handlers_;
};

std::string returning(std::string_view data, std::string_view more = {}) {
  std::string escaped;
  for (const char c : data) {
    constexpr std::string_view kHex = "0123456789abcdef";
    escaped += '\\';
    escaped += kHex[static_cast<unsigned char>(c) >> 4U];
    escaped += kHex[static_cast<unsigned char>(c) & 15U];
  }
  return R"((module (memory (export "memory") 1) (data (i32.const 1024) ")" + escaped + R"(")
    (func (export "run") (param i32 i32) (result i32) (i32.const 1024)) )" +
         std::string(more) + ")";
}

// Answers with its own input: "echo" without allocator gives the pointer back.
constexpr std::string_view kEcho = R"((module (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32) (local.get 0))))";

TEST_F(HandlersTest, EchoesItsInputWithoutAnAllocator) {
  ASSERT_TRUE(load(kEcho).has_value());
  const Answer answer = call("POST", "/x?page=2&q=a%20b", R"({"name":"n","method":"mine"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  const auto value = boost::json::parse(answer.body).as_object();
  EXPECT_EQ(value.at("method"), "POST");
  EXPECT_EQ(value.at("path"), "/x");
  EXPECT_EQ(value.at("query").at("q"), "a b");
  EXPECT_EQ(value.at("body").at("name"), "n");
  EXPECT_EQ(value.at("name"), "n");
  EXPECT_TRUE(value.at("user").is_null());
  EXPECT_EQ(value.at("request_id"), "r-1");
}

TEST_F(HandlersTest, EveryAllocator) {
  for (const auto& [alloc, dealloc] :
       {std::pair("alloc", "dealloc"), std::pair("allocate", "deallocate"),
        std::pair("alloc", "no")}) {
    spec_.reuse_instances = true;
    const std::string text =
        std::string(R"((module (memory (export "memory") 3) (global $at (mut i32) (i32.const 4096))
      (global $live (mut i32) (i32.const 0))
      (func (export ")") +
        alloc + R"(") (param i32) (result i32)
        (global.set $live (i32.add (global.get $live) (i32.const 1))) (global.get $at))
      (func (export ")" +
        dealloc + R"(") (param i32 i32)
        (global.set $live (i32.sub (global.get $live) (i32.const 1))))
      (func (export "run") (param i32 i32) (result i32) (local.get 0))))";
    ASSERT_TRUE(load(text).has_value());
    const Answer answer = call("POST", "/x", R"({"a":1})");
    EXPECT_EQ(boost::json::parse(answer.body).at("a"), 1) << alloc;
    worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  }
}

TEST_F(HandlersTest, BothResultConventionsAndEnvelopes) {
  ASSERT_TRUE(load(returning(std::string("\x0b\0\0\0", 4) + R"({"bare":12})")).has_value());
  EXPECT_EQ(call().body, R"({"bare":12})");
  ASSERT_TRUE(load(returning(R"({"bare":1} and more)")).has_value());
  EXPECT_EQ(call().body, R"({"bare":1})");
  ASSERT_TRUE(
      load(returning(R"({"status":201,"body":{"id":7},"headers":{"X-A":"b"}})")).has_value());
  const Answer created = call();
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.body, R"({"id":7})");
  EXPECT_EQ(created.headers.at("x-a"), "b");
  ASSERT_TRUE(
      load(returning(R"({"status":200,"body":"<p>","headers":{"Content-Type":"text/html"}})"))
          .has_value());
  EXPECT_EQ(call().body, "<p>");
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (i32.const 0))))")
                  .has_value());
  EXPECT_EQ(call().body, "null");
}

TEST_F(HandlersTest, AnswersThatAreNotValid) {
  for (const std::string_view data :
       {R"({"status":99,"body":1})", R"({"half":)", "nothing", "\xff\xff\xff\x7f{}",
        R"({"status":200,"headers":{"a":"b\r\nc: d"}})",
        R"({"status":200,"headers":{"a b":"c"}})"}) {
    ASSERT_TRUE(load(returning(data)).has_value()) << data;
    const Answer answer = call();
    EXPECT_EQ(answer.status, 502) << data;
    const auto error = boost::json::parse(answer.body).at("error");
    EXPECT_EQ(error.at("code"), "bad_response");
    EXPECT_EQ(error.at("request_id"), "r-1");
  }
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (i32.const -16))))")
                  .has_value());
  EXPECT_EQ(call().status, 502);
}

TEST_F(HandlersTest, StatusesWithoutABody) {
  for (const auto& [status, length] :
       {std::pair("204", ""), std::pair("205", "0"), std::pair("304", "")}) {
    ASSERT_TRUE(load(returning(std::string(R"({"status":)") + status + R"(,"body":{"a":1}})")));
    const Answer answer = call();
    EXPECT_EQ(std::to_string(answer.status), status);
    EXPECT_EQ(answer.body, "");
    const auto found = answer.headers.find("content-length");
    EXPECT_EQ(found == answer.headers.end() ? "" : found->second, length) << status;
  }
}

TEST_F(HandlersTest, HeadersThatNoHeadHolds) {
  const auto answer_to = [&](std::size_t count, std::size_t bytes) {
    boost::json::object headers;
    for (std::size_t i = 0; i < count; ++i)
      headers["x-" + std::to_string(i)] = std::string(bytes, 'a');
    EXPECT_TRUE(load(returning(
        boost::json::serialize(boost::json::object{{"status", 200}, {"headers", headers}}))));
    return call();
  };
  EXPECT_EQ(answer_to(100, 1).status, 200);
  EXPECT_EQ(answer_to(1, 32'000).status, 200);
  for (const auto& [count, bytes] : {std::pair(101, 1), std::pair(1, 33'000), std::pair(50, 700)}) {
    const Answer refused =
        answer_to(static_cast<std::size_t>(count), static_cast<std::size_t>(bytes));
    EXPECT_EQ(refused.status, 502);
    EXPECT_EQ(boost::json::parse(refused.body).at("error").at("code"), "bad_response");
  }
}

TEST_F(HandlersTest, ResultsAroundTheLimit) {
  spec_.body_limit = 1'000;
  // As a length, "1" and what lies behind it are 65,585.
  std::string module = returning(std::string("1\0\1\0", 4));
  module.replace(module.find(R"("memory") 1)"), 11, R"("memory") 2)");
  ASSERT_TRUE(load(module));
  const Answer one = call();
  EXPECT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(one.body, "1");
  const std::string long_text = '"' + std::string(1'998, 'a') + '"';
  ASSERT_TRUE(load(returning(std::string("\xd0\x07\0\0", 4) + long_text)));
  EXPECT_EQ(call().status, 507);
  ASSERT_TRUE(load(returning(long_text)));
  EXPECT_EQ(call().status, 507);
}

TEST_F(HandlersTest, BadBodies) {
  ASSERT_TRUE(load(kEcho).has_value());
  EXPECT_EQ(call("POST", "/x", "{half").status, 400);
  EXPECT_EQ(call("POST", "/x", std::string(100, '[') + std::string(100, ']')).status, 400);
  EXPECT_EQ(call("POST", "/x", "\"\xff\"").status, 400);
  EXPECT_EQ(call("POST", "/x", std::string((1U << 20U) + 1, 'a'), "text/plain").status, 413);
  const Answer binary = call("POST", "/x", "\xff\x01", "application/octet-stream");
  EXPECT_EQ(boost::json::parse(binary.body).at("body_encoding"), "base64");
  EXPECT_EQ(boost::json::parse(binary.body).at("body"), "/wE=");
}

TEST_F(HandlersTest, TrapsAndLimits) {
  spec_.cpu_limit = milliseconds(30);
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) unreachable)))")
                  .has_value());
  EXPECT_EQ(call().status, 500);
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (loop (br 0)) unreachable)))")
                  .has_value());
  const Answer busy = call();
  EXPECT_EQ(busy.status, 504);
  EXPECT_EQ(boost::json::parse(busy.body).at("error").at("code"), "cpu_limit");
  EXPECT_EQ(handlers_->stats().errors, 1);
  EXPECT_EQ(handlers_->stats().limit_hits, 1);
}

TEST_F(HandlersTest, InitDecides) {
  const auto init = [](int result, std::string_view allocator) {
    return returning("1", "(func (export \"init\") (result i32) (i32.const " +
                              std::to_string(result) + ")) (func (export \"" +
                              std::string(allocator) +
                              "\") (param i32) (result i32) (i32.const 8))");
  };
  EXPECT_TRUE(load(init(0, "alloc")).has_value());
  const auto refused = load(init(1, "alloc"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "init() of the plugin returned 1");
  EXPECT_TRUE(load(init(1, "allocate")).has_value()) << "1 is success in the current dialect";
}

constexpr std::string_view kStateful = R"((module
  (import "env" "state_get" (func $get (param i32 i32) (result i32)))
  (import "env" "state_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "get_config" (func $config (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "keycolor")
  (data (i32.const 80) "{\"a\":1}")
  (func (export "init") (result i32)
    (i32.eqz (call $set (i32.const 64) (i32.const 3) (i32.const 80) (i32.const 7))))
  (func (export "run") (param i32 i32) (result i32) (call $get (i32.const 64) (i32.const 3)))))";

TEST_F(HandlersTest, InitMayCallServicesAndAHandlerWaits) {
  ASSERT_TRUE(load(kStateful).has_value());
  EXPECT_EQ(state_.values.at("key"), R"({"a":1})");
  EXPECT_EQ(call().body, R"({"a":1})");
}

TEST_F(HandlersTest, ManyWaitAndTheOthersGoOn) {
  ASSERT_TRUE(load(kStateful).has_value());
  state_.slow = true;
  std::vector<std::unique_ptr<Exchange>> waiting;
  waiting.reserve(40);
  for (int i = 0; i < 40; ++i) waiting.push_back(begin());  // more than there are instances
  worker_.on_worker([&] {
    state_.slow = false;
    for (const auto& call : state_.held) call->finish(services::KeyValue::Value("[1]"));
  });
  std::size_t answered = 0;
  for (const auto& exchange : waiting) {
    const Answer answer = end(*exchange);
    EXPECT_EQ(answer.status, 200);
    if (answer.body == "[1]" || answer.body == R"({"a":1})") ++answered;
  }
  EXPECT_EQ(answered, waiting.size());
}

TEST_F(HandlersTest, WallTimeIncludesTheWait) {
  ASSERT_TRUE(load(kStateful).has_value());
  state_.slow = true;
  handlers_->runtime();
  spec_.timeout = milliseconds(50);
  ASSERT_TRUE(load(kStateful).has_value());
  const Answer answer = call();
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(boost::json::parse(answer.body).at("error").at("code"), "timeout");
}

TEST_F(HandlersTest, ServicesMayTakeAsLongAsTheRoute) {
  constexpr std::string_view kAsks = R"((module
    (import "env" "db_query" (func $q (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "select 1")
    (func $ask (drop (call $q (i32.const 64) (i32.const 8))))
    (func (export "init") (call $ask))
    (func (export "run") (param i32 i32) (result i32) (call $ask) (i32.const 0))))";
  constexpr std::string_view kPatient = R"({"name":"notes","version":"1.0.0",
    "routes":[{"path":"/x","method":"GET","handler":"run","timeout":"60s"}]})";
  spec_.sql_access = "read";
  spec_.reuse_instances = true;
  ASSERT_TRUE(load(kAsks, kPatient).has_value());
  EXPECT_EQ(call().status, 200);
  EXPECT_EQ(call().status, 200);
  ASSERT_EQ(sql_.asked.size(), 4U) << "init when it is loaded, and for the instance; two requests";
  EXPECT_EQ(sql_.asked[0].timeout, spec_.timeout);
  EXPECT_EQ(sql_.asked[2].timeout, milliseconds(60'000));
  EXPECT_EQ(sql_.asked[3].timeout, milliseconds(60'000));
}

TEST_F(HandlersTest, ClientThatGoesCancels) {
  ASSERT_TRUE(load(kStateful).has_value());
  state_.slow = true;
  auto exchange = begin();
  worker_.on_worker([] {});
  worker_.on_worker([&] { exchange->sender->reset(http::StreamError::kCancelled); });
  worker_.on_worker([&] {
    EXPECT_EQ(handlers_->guests(worker_.worker).running(), 0);
    for (const auto& call : state_.held) EXPECT_TRUE(call->cancelled());
  });
}

TEST_F(HandlersTest, ClientsThatWentKeepNoPlaceInTheQueue) {
  spec_.max_instances = 1;
  ASSERT_TRUE(load(kStateful).has_value());
  state_.slow = true;
  const auto holder = begin();
  std::vector<std::unique_ptr<Exchange>> gone;
  gone.reserve(WorkerGuests::kMaxWaiting);
  for (std::size_t i = 0; i < WorkerGuests::kMaxWaiting; ++i) gone.push_back(begin());
  worker_.on_worker([&] {
    for (const auto& each : gone) each->sender->reset(http::StreamError::kCancelled);
  });
  const auto waits = begin();
  worker_.on_worker([&] {
    state_.slow = false;
    for (const auto& call : state_.held) call->finish(services::KeyValue::Value("[1]"));
  });
  EXPECT_EQ(end(*holder).status, 200);
  EXPECT_EQ(end(*waits).status, 200);
}

// Counts its calls in a global.
constexpr std::string_view kCounter = R"((module (memory (export "memory") 1)
  (global $n (mut i32) (i32.const 48))
  (func (export "run") (param i32 i32) (result i32)
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (i32.store8 (i32.const 512) (global.get $n))
    (i32.store8 (i32.const 513) (i32.const 0))
    (if (i32.eq (global.get $n) (i32.const 53)) (then unreachable))
    (i32.const 512))))";

TEST_F(HandlersTest, FreshAndReusedInstances) {
  ASSERT_TRUE(load(kCounter).has_value());
  EXPECT_EQ(call().body, "1");
  EXPECT_EQ(call().body, "1");

  spec_.reuse_instances = true;
  ASSERT_TRUE(load(kCounter).has_value());
  for (const std::string_view expected : {"1", "2", "3", "4"}) EXPECT_EQ(call().body, expected);
  EXPECT_EQ(call().status, 500) << "the fifth traps";
  EXPECT_EQ(call().body, "1") << "an instance that trapped is dropped";

  worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  spec_.max_requests = 2;
  ASSERT_TRUE(load(kCounter).has_value());
  for (const std::string_view expected : {"1", "2", "1", "2"}) EXPECT_EQ(call().body, expected);
}

TEST_F(HandlersTest, WhoGotNoInstanceIsToldSo) {
  spec_.max_instances = 1;
  ASSERT_TRUE(load(kStateful, R"({"name":"notes","version":"1.0.0","routes":[
      {"path":"/x","method":"GET","handler":"run","timeout":"50ms"},
      {"path":"/patient","method":"GET","handler":"run","timeout":"60s"}]})")
                  .has_value());
  state_.slow = true;
  const auto holder = begin("GET", "/patient", {}, "application/json", 1);
  const auto waits = begin();
  const Answer answer = end(*waits);
  worker_.on_worker([&] { holder->sender->reset(http::StreamError::kCancelled); });
  EXPECT_EQ(answer.status, 504);
  EXPECT_TRUE(answer.body.contains("no instance of the plugin was free")) << answer.body;
}

// Its cleanup() never ends.
constexpr std::string_view kLingers = R"((module (memory (export "memory") 1)
  (func (export "cleanup") (loop (br 0)))
  (func (export "run") (param i32 i32) (result i32) (i32.const 0))))";

TEST_F(HandlersTest, TheWorkerGoesOnWhileAnIdleInstanceCleansUp) {
  spec_.reuse_instances = true;
  spec_.cpu_limit = milliseconds(2000);
  spec_.instance_idle = milliseconds(10);
  ASSERT_TRUE(load(kLingers).has_value());
  EXPECT_EQ(call().status, 200);
  std::size_t idle = 1;
  std::size_t running = 0;
  while (idle > 0) {
    worker_.on_worker([&] {
      idle = handlers_->guests(worker_.worker).idle();
      running = handlers_->guests(worker_.worker).running();
    });
  }
  EXPECT_EQ(running, 1) << "its cleanup() is under way, and the worker was free to say so";
}

TEST_F(HandlersTest, AVersionThatEndsWaitsForNoCleanup) {
  spec_.reuse_instances = true;
  spec_.cpu_limit = milliseconds(2000);
  ASSERT_TRUE(load(kLingers).has_value());
  EXPECT_EQ(call().status, 200);
  worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  EXPECT_EQ(handlers_->stats().limit_hits, 0) << "of the CPU time that it would have taken";
}

TEST_F(HandlersTest, InstancesEndOnTheirWorkerWhoeverLetsGoOfTheVersion) {
  spec_.reuse_instances = true;
  ASSERT_TRUE(load(kCounter).has_value());
  EXPECT_EQ(call().body, "1");
  const auto instances =
      metrics_.gauge("heddle_plugin_instances", "Instances of a plugin.", {{"plugin", "notes"}});
  auto plugin = std::make_unique<Plugin>(*parse_manifest(kManifest), spec_.timeout,
                                         std::exchange(handlers_, nullptr));
  worker_.on_worker([] {});  // the instance is put back
  std::promise<void> go;
  worker_.worker.post([&] { go.get_future().wait(); });
  plugin.reset();
  EXPECT_EQ(instances->value(), 1) << "while its worker is busy";
  go.set_value();
  worker_.on_worker([] {});
  EXPECT_EQ(instances->value(), 0);
}

TEST_F(HandlersTest, WildPointersInHostCalls) {
  ASSERT_TRUE(load(R"((module
    (import "env" "state_get" (func $get (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (call $get (i32.const -8) (i32.const 100)))))")
                  .has_value());
  EXPECT_EQ(call().status, 500);
}

TEST_F(HandlersTest, DeniedServicesAnswerWithAnError) {
  ASSERT_TRUE(load(R"((module
    (import "env" "db_query" (func $q (param i32 i32) (result i32)))
    (import "env" "http_request" (func $h (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "select 1")
    (func (export "run") (param i32 i32) (result i32)
      (drop (call $h (i32.const 64) (i32.const 3) (i32.const 64) (i32.const 3) (i32.const 0) (i32.const 0)))
      (call $q (i32.const 64) (i32.const 8)))))")
                  .has_value());
  EXPECT_EQ(call().body, R"x({"rows":[],"error":"SQL is not permitted (permissions.sql)"})x");
}

TEST_F(HandlersTest, BothDialectsOfAnImport) {
  ASSERT_TRUE(load(R"((module
    (import "env" "db_query" (func $q (param i32 i32 i32 i32) (result i32)))
    (import "env" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "select 1")
    (func (export "run") (param i32 i32) (result i32)
      (call $log (i32.const 2) (i32.const 64) (i32.const 8))
      (call $q (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0)))))")
                  .has_value());
  EXPECT_EQ(call().body, R"x({"rows":[],"error":"SQL is not permitted (permissions.sql)"})x");
}

TEST_F(HandlersTest, UnknownImportIsALoadError) {
  const auto refused = load(R"((module (import "env" "open" (func (param i32)))
    (memory (export "memory") 1) (func (export "run") (param i32 i32) (result i32) (i32.const 0))))");
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().message.contains("env.open")) << refused.error().message;
}

TEST_F(HandlersTest, Execute) {
  ASSERT_TRUE(
      load(returning("1", "(func (export \"execute\") (result i32) (i32.const 42))")).has_value());
  std::promise<Result<std::int32_t>> done;
  worker_.on_worker([&] {
    handlers_->execute(worker_.worker,
                       [&](Result<std::int32_t> result) { done.set_value(std::move(result)); });
  });
  EXPECT_EQ(done.get_future().get(), 42);
}

}  // namespace
}  // namespace heddle::route
