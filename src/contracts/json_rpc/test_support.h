// For the tests of this folder: calls of guests on a worker.
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
#include "contracts/json_rpc/test_guest.h"
#include "sandbox/engine.h"
#include "services/test_support.h"

namespace heddle::json_rpc {

// Writes down what a call shows beside its answer.
class Listener final : public extension::RpcCaller {
 public:
  void on_notification(std::string_view method, std::string_view params) override {
    notifications += fmt::format("{} {};", method, params);
  }
  void on_log(std::string_view line) override { (log += line) += '\n'; }
  bool on_request(std::string_view /*method*/, std::string_view /*params*/, Reply& reply) override {
    if (answers) replies.push_back(std::move(reply));
    return answers;
  }
  std::string notifications;
  std::string log;
  bool answers = false;  // requests of the guest; kept here
  std::vector<Reply> replies;
};

class RpcTest : public testing::Test {
 protected:
  void SetUp() override { make_engine({}); }

  void make_engine(sandbox::EngineOptions options) {
    contract_.reset();
    options.instances = 64;
    options.suspendable_instances = instances_;
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
          worker_.worker, {.method = "run", .params = std::move(params), .caller = &listener_},
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
  // A method whose requests wait for a reply.
  void add_waiting(std::string name) {
    methods_.add(std::move(name), [this](const HostRequest& /*request*/, HostMethods::Reply reply) {
      waiting_.push_back(std::move(reply));
      return nullptr;
    });
  }
  void release() {
    worker_.on_worker([&] { handles_.clear(); });
  }
  void TearDown() override {
    release();
    worker_.on_worker([&] { waiting_.clear(); });
  }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry registry_;
  HostMethods methods_;
  extension::PluginSpec spec_ = [] {
    extension::PluginSpec spec;
    spec.name = "guest";
    return spec;
  }();
  std::uint32_t instances_ = 64;
  std::unique_ptr<sandbox::Engine> engine_;
  std::unique_ptr<Contract> contract_;
  Listener listener_;
  std::vector<std::unique_ptr<extension::RpcTarget::Handle>> handles_;
  std::vector<HostMethods::Reply> waiting_;
  extension::PluginStats stats_;
  services::TestWorker worker_;  // ends before what its calls use
};

}  // namespace heddle::json_rpc
