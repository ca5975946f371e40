// For the tests of this folder only: an engine, and modules written as text.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/engine.h"
#include "sandbox/instance.h"

namespace heddle::sandbox {

class SandboxTest : public testing::Test {
 protected:
  void SetUp() override { make_engine({.instances = 16}); }

  void make_engine(const EngineOptions& options) {
    auto made = Engine::create(options, *log_, registry_);
    ASSERT_TRUE(made.has_value()) << made.error().message;
    engine_ = std::move(*made);
  }

  Result<std::shared_ptr<const Module>> compile(std::string_view text) {
    return engine_->compile(std::as_bytes(std::span(text)), "test");
  }

  Result<std::shared_ptr<const LinkedModule>> link(std::string_view text,
                                                   std::span<const HostFunction> table = {},
                                                   const LinkedModule::Options& options = {}) {
    auto module = compile(text);
    if (!module) return std::unexpected(module.error());
    const std::array tables = {table, wasi_functions()};
    return LinkedModule::create(*engine_, *module, tables, options);
  }

  Result<std::unique_ptr<Instance>> instantiate(std::string_view text,
                                                std::span<const HostFunction> table = {}) {
    auto linked = link(text, table);
    if (!linked) return std::unexpected(linked.error());
    return Instance::create(*linked, limits_, user_, wasi_);
  }

  // Instantiates and fails the test when that fails.
  std::unique_ptr<Instance> start(std::string_view text, std::span<const HostFunction> table = {}) {
    auto made = instantiate(text, table);
    EXPECT_TRUE(made.has_value()) << made.error().message;
    return made ? std::move(*made) : nullptr;
  }

  // Calls the export `name` without arguments, which must trap.
  Trap trap_of(Instance& instance, std::string_view name = "run") {
    auto function = instance.function<void()>(name);
    EXPECT_TRUE(function.has_value() && *function);
    auto result = instance.call(*function);
    EXPECT_FALSE(result.has_value());
    return result ? Trap{} : result.error();
  }
  Trap trap_of(std::string_view text, std::span<const HostFunction> table = {}) {
    auto instance = start(text, table);
    return instance == nullptr ? Trap{} : trap_of(*instance);
  }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry registry_;
  std::unique_ptr<Engine> engine_;
  Limits limits_;
  void* user_ = nullptr;
  WasiHost* wasi_ = nullptr;
};

}  // namespace heddle::sandbox
