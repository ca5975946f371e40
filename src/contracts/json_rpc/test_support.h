// For the tests of this folder: guests put together from steps, and calls of them on a worker.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/json_rpc/contract.h"
#include "contracts/json_rpc/host_methods.h"
#include "sandbox/engine.h"
#include "services/test_support.h"

namespace heddle::json_rpc {

// A WASI command as text: its `_start` takes the steps in order.
class Guest {
 public:
  Guest& print(std::string_view text, int fd = 1) {
    steps_ += fmt::format("(call $out (i32.const {}) (i32.const {}) (i32.const {}))\n", fd,
                          1'024 + data_.size(), text.size());
    data_ += text;
    return *this;
  }
  Guest& answer(std::string_view result) {
    return print(fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}}\n", result));
  }
  Guest& ask(std::string_view method, int id = 0) {
    return print(fmt::format("{{\"jsonrpc\":\"2.0\",\"id\":{},\"method\":\"{}\"}}\n", id, method));
  }
  // One read of standard input; what came is written to standard error.
  Guest& read() { return step("(call $in)"); }
  // Reads on to the end of standard input.
  Guest& read_all() {
    return step("(block (loop (call $in) (br_if 1 (i32.eqz (i32.load (i32.const 20)))) (br 0)))");
  }
  Guest& trap() { return step("unreachable"); }
  Guest& spin() { return step("(loop (br 0))"); }
  Guest& exit(int code) { return step(fmt::format("(call $exit (i32.const {}))", code)); }
  Guest& repeat(int times, const Guest& body) {
    EXPECT_TRUE(data_.empty()) << "texts of the body come first";
    data_ = body.data_;
    return step(
        fmt::format("(local.set $i (i32.const {}))(loop $again {} (br_if $again "
                    "(local.tee $i (i32.sub (local.get $i) (i32.const 1)))))",
                    times, body.steps_));
  }
  Guest& step(std::string_view wat) {
    steps_ += wat;
    steps_ += '\n';
    return *this;
  }

  std::string wat() const {
    std::string escaped;
    for (const char c : data_) escaped += fmt::format("\\{:02x}", static_cast<unsigned char>(c));
    return fmt::format(kModule, escaped, steps_);
  }

 private:
  static constexpr const char* kModule = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $r (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 3)
  (data (i32.const 1024) "{}")
  (func $out (param $fd i32) (param $at i32) (param $length i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $length))
    (drop (call $w (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
  (func $in
    (i32.store (i32.const 12) (i32.const 65536))
    (i32.store (i32.const 16) (i32.const 4096))
    (drop (call $r (i32.const 0) (i32.const 12) (i32.const 1) (i32.const 20)))
    (call $out (i32.const 2) (i32.const 65536) (i32.load (i32.const 20))))
  (func (export "_start") (local $i i32)
    {})))";

  std::string data_;
  std::string steps_;
};

// Writes down what a call shows beside its answer.
class Listener final : public extension::RpcCaller {
 public:
  void on_notification(std::string_view method, std::string_view params) override {
    notifications += fmt::format("{} {};", method, params);
  }
  void on_log(std::string_view line) override { (log += line) += '\n'; }
  std::string notifications;
  std::string log;
};

class RpcTest : public testing::Test {
 protected:
  void SetUp() override { make_engine({}); }

  void make_engine(sandbox::EngineOptions options) {
    contract_.reset();
    options.instances = 64;
    options.suspendable_instances = 64;
    auto made = sandbox::Engine::create(options, *log_, registry_);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    engine_ = std::move(*made);
    contract_ = std::make_unique<Contract>(
        Dependencies{.engine = *engine_, .log = *log_, .metrics = registry_, .methods = methods_});
  }

  std::shared_ptr<extension::LoadedPlugin> load(const Guest& guest) {
    const std::string text = guest.wat();
    auto module = engine_->compile(std::as_bytes(std::span(text)), "guest");
    EXPECT_TRUE(module.has_value()) << module.error().message << "\n" << text;
    auto loaded = contract_->load(spec_, *module);
    EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
    return *loaded;
  }

  using Outcome = extension::RpcOutcome;
  std::future<Outcome> begin(extension::LoadedPlugin& plugin, std::string params = "null") {
    auto promise = std::make_shared<std::promise<Outcome>>();
    auto future = promise->get_future();
    worker_.on_worker([&] {
      handles_.push_back(plugin.rpc_target()->call(
          worker_.worker(), {.method = "run", .params = std::move(params), .caller = &listener_},
          [promise](Outcome outcome) { promise->set_value(std::move(outcome)); }));
    });
    return future;
  }
  static Outcome wait(std::future<Outcome>& future) {
    if (future.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    return future.get();
  }
  Outcome run(const Guest& guest, std::string params = "null") {
    const auto plugin = load(guest);
    auto future = begin(*plugin, std::move(params));
    Outcome out = wait(future);
    stats_ = plugin->stats();
    release();
    return out;
  }
  void release() {
    worker_.on_worker([&] { handles_.clear(); });
  }
  void TearDown() override { release(); }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry registry_;
  HostMethods methods_;
  extension::PluginSpec spec_ = [] {
    extension::PluginSpec spec;
    spec.name = "guest";
    return spec;
  }();
  std::unique_ptr<sandbox::Engine> engine_;
  std::unique_ptr<Contract> contract_;
  Listener listener_;
  std::vector<std::unique_ptr<extension::RpcTarget::Handle>> handles_;
  extension::PluginStats stats_;
  services::TestWorker worker_;  // ends before what its calls use
};

}  // namespace heddle::json_rpc
