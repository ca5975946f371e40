#include "contracts/route/worker_guests.h"

#include <boost/json.hpp>

#include "contracts/route/plugin.h"
#include "contracts/route/test_support.h"

namespace heddle::route {
namespace {

using std::chrono::milliseconds;
using WorkerGuestsTest = RouteTest;

TEST_F(WorkerGuestsTest, ManyWaitAndTheOthersGoOn) {
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

TEST_F(WorkerGuestsTest, WallTimeIncludesTheWait) {
  ASSERT_TRUE(load(kStateful).has_value());
  state_.slow = true;
  handlers_->runtime();
  spec_.timeout = milliseconds(50);
  ASSERT_TRUE(load(kStateful).has_value());
  const Answer answer = call();
  EXPECT_EQ(answer.status, 504);
  EXPECT_EQ(boost::json::parse(answer.body).at("error").at("code"), "timeout");
}

TEST_F(WorkerGuestsTest, ServicesMayTakeAsLongAsTheRoute) {
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

TEST_F(WorkerGuestsTest, ClientThatGoesCancels) {
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

TEST_F(WorkerGuestsTest, ClientsThatWentKeepNoPlaceInTheQueue) {
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

TEST_F(WorkerGuestsTest, FreshAndReusedInstances) {
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

TEST_F(WorkerGuestsTest, WhoGotNoInstanceIsToldSo) {
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

TEST_F(WorkerGuestsTest, TheWorkerGoesOnWhileAnIdleInstanceCleansUp) {
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

TEST_F(WorkerGuestsTest, AVersionThatEndsWaitsForNoCleanup) {
  spec_.reuse_instances = true;
  spec_.cpu_limit = milliseconds(2000);
  ASSERT_TRUE(load(kLingers).has_value());
  EXPECT_EQ(call().status, 200);
  worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  EXPECT_EQ(handlers_->stats().limit_hits, 0) << "of the CPU time that it would have taken";
}

TEST_F(WorkerGuestsTest, InstancesEndOnTheirWorkerWhoeverLetsGoOfTheVersion) {
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

}  // namespace
}  // namespace heddle::route
