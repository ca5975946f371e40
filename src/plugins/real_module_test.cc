// The registry and inspect on the real engine: what it says of files that are no modules, and of
// modules.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/fake_sandbox.h"
#include "plugins/inspect.h"
#include "plugins/registry.h"
#include "plugins/test_folder.h"

namespace heddle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kModule = R"((module
  (import "env" "proxy_log" (func (param i32 i32 i32) (result i32)))
  (import "elsewhere" "thing" (func))
  (memory (export "memory") 2 10)
  (func (export "proxy_abi_version_0_2_1"))
  (func (export "add") (param i32 i64) (result f64) (f64.const 0))))";

// Knows modules by the marker, runs nothing.
class MarkerContract final : public extension::PluginContract {
 public:
  std::string_view kind() const override { return "marker"; }
  bool recognises(const sandbox::Module& module) const override {
    return module.find_export("proxy_abi_version_0_2_1") != nullptr;
  }
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module>) override {
    return std::make_shared<testing::FakePlugin>(spec);
  }
  bool offers_import(std::string_view module, std::string_view) const override {
    return module == "env";
  }
};

class RealModuleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    sandbox::EngineOptions options;
    options.instances = 4;
    auto made = sandbox::Engine::create(options, *log_, metrics_);
    ASSERT_TRUE(made) << made.error().message;
    engine_ = std::move(*made);
  }

  testing::TestFolder folder_;
  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  MarkerContract contract_;
  std::vector<extension::PluginContract*> contracts_{&contract_};
  std::unique_ptr<sandbox::Engine> engine_;
};

TEST_F(RealModuleTest, Inspect) {
  const auto report = inspect(*engine_, contracts_, folder_.write("m.wasm", kModule));
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->kind, "marker");
  EXPECT_EQ(report->abi_version, "0.2.1");
  EXPECT_EQ(report->initial_memory_bytes, 131'072U);
  EXPECT_EQ(report->maximum_memory_bytes, 655'360U);
  EXPECT_THAT(to_text(*report), AllOf(HasSubstr("      env.proxy_log (i32, i32, i32) -> i32\n"),
                                      HasSubstr("   !  elsewhere.thing () -> ()\n"),
                                      HasSubstr("      add (i32, i64) -> f64\n"),
                                      HasSubstr("      memory memory\n")));
}

TEST_F(RealModuleTest, LoadsAndReloads) {
  Registry registry(*engine_, contracts_, *log_, metrics_);
  config::Config config;
  config.plugins.emplace_back();
  config.plugins[0].name = "m";
  config.plugins[0].path = folder_.write("m.wasm", kModule);
  EXPECT_THAT(registry.load(config).failed, IsEmpty());
  EXPECT_EQ(registry.find("m")->kind, "marker");
  ASSERT_TRUE(registry.reload("m"));
  EXPECT_EQ(registry.find("m")->version, 2U);
}

TEST_F(RealModuleTest, BrokenFilesAreNamedOnceAndOnOneLine) {
  Registry registry(*engine_, contracts_, *log_, metrics_);
  using namespace std::string_literals;
  const std::vector<std::string> contents = {"junk"s,
                                             "\0asm"s,
                                             "\0asm\1\0\0\0\1"s,
                                             "\0asm\x0d\0\1\0"s,
                                             "\x7f"
                                             "ELF"s,
                                             "<!DOCTYPE html>"s,
                                             "(module"s,
                                             "(module)"s};
  for (const std::string& content : contents) {
    config::Config config;
    config.plugins.emplace_back();
    config.plugins[0].name = "broken";
    config.plugins[0].path = folder_.write("b.wasm", content);
    const ChangeReport report = registry.apply(config);
    ASSERT_EQ(report.failed.size(), 1U) << content;
    const std::string& error = report.failed[0].error;
    EXPECT_TRUE(error.starts_with("plugin broken: " + config.plugins[0].path + ": ")) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
    EXPECT_THAT(error, HasSubstr("uild")) << "no remedy";
    EXPECT_EQ(error.find("broken: ", 9), std::string::npos) << error;
  }
}

}  // namespace
}  // namespace heddle::plugins
