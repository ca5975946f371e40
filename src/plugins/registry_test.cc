#include "plugins/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "plugins/fake_sandbox.h"
#include "plugins/test_folder.h"

namespace heddle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kGood = "module\nexport fake\n";

class RegistryTest : public ::testing::Test {
 protected:
  config::Plugin entry(const std::string& name, const std::string& content = kGood) {
    config::Plugin out;
    out.name = name;
    out.path = folder_.write(name + ".wasm", content);
    return out;
  }
  const testing::FakePlugin& fake(const std::string& name) {
    return dynamic_cast<const testing::FakePlugin&>(*registry_.find(name)->plugin);
  }
  std::vector<std::string> order() {
    std::vector<std::string> out;
    for (const ActivePlugin& plugin : registry_.set()->plugins) out.push_back(plugin.name);
    return out;
  }
  std::string only_failure(const ChangeReport& report) {
    return report.failed.size() == 1 ? report.failed[0].error : "not one failure";
  }

  testing::TestFolder folder_;
  testing::FakeEngine engine_;
  testing::FakeContract contract_;
  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  Registry registry_{engine_, {&contract_}, *log_, metrics_};
  config::Config config_;
};

TEST_F(RegistryTest, LoadsInOrderOfPriorityThenFile) {
  config_.plugins = {entry("a"), entry("b"), entry("c"), entry("d")};
  config_.plugins[1].priority = 100;
  config_.plugins[3].priority = -5;
  int published = 0;
  registry_.on_change([&](const std::shared_ptr<const PluginSet>&) { ++published; });
  const ChangeReport report = registry_.load(config_);
  EXPECT_THAT(report.added, ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(order(), ElementsAre("b", "a", "c", "d"));
  EXPECT_GE(published, 1);
  const auto info = registry_.find("a");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->state, PluginState::kActive);
  EXPECT_EQ(info->version, 1U);
  EXPECT_EQ(info->kind, "fake");
  EXPECT_GT(info->loaded_at, 0);
  EXPECT_EQ(info->sha256.size(), 64U);
  EXPECT_FALSE(registry_.find("x"));
  EXPECT_THAT(registry_.list(), ::testing::SizeIs(4));
}

TEST_F(RegistryTest, EmptyConfigurationIsPublishedToo) {
  int published = 0;
  registry_.on_change([&](const std::shared_ptr<const PluginSet>&) { ++published; });
  registry_.load(config_);
  EXPECT_EQ(published, 1);
  EXPECT_THAT(registry_.set()->plugins, IsEmpty());
}

TEST_F(RegistryTest, FailedPluginStandsInTheSetWithItsReason) {
  config_.plugins = {entry("good"),
                     entry("bad", "module\nexport fake\nfail on_configure returned false")};
  const ChangeReport report = registry_.load(config_);
  EXPECT_THAT(only_failure(report), AllOf(HasSubstr("plugin bad: "), HasSubstr("bad.wasm: "),
                                          HasSubstr("on_configure returned false")));
  const auto set = registry_.set();
  EXPECT_NE(set->find("good")->plugin, nullptr);
  EXPECT_EQ(set->find("bad")->plugin, nullptr);
  EXPECT_THAT(set->find("bad")->error, HasSubstr("on_configure returned false"));
  EXPECT_EQ(registry_.find("bad")->state, PluginState::kFailed);
  EXPECT_EQ(registry_.find("bad")->version, 0U);
}

TEST_F(RegistryTest, EveryLoadErrorNamesPluginFileAndRemedy) {
  config::Plugin missing = entry("missing");
  folder_.remove("missing.wasm");
  config::Plugin empty = entry("empty", "");
  config::Plugin text = entry("text", "<html>");
  config::Plugin unknown = entry("unknown", "module\nexport run\n");
  config::Plugin hash = entry("hash");
  hash.sha256 = std::string(64, '0');
  config::Plugin kind = entry("kind");
  kind.kind = "route";
  config::Plugin directory = entry("directory");
  directory.path = folder_.path().string();
  const auto error_of = [&](const config::Plugin& plugin) {
    config_.plugins = {plugin};
    const std::string error = only_failure(registry_.apply(config_));
    EXPECT_THAT(error,
                AllOf(HasSubstr("plugin " + plugin.name + ": "), HasSubstr(plugin.path + ": ")));
    EXPECT_EQ(error.find('\n'), std::string::npos);
    return error;
  };
  EXPECT_THAT(error_of(missing), HasSubstr("no such file; build the plugin or correct its path"));
  EXPECT_THAT(error_of(empty), HasSubstr("empty; build the plugin again"));
  EXPECT_THAT(error_of(text), HasSubstr("not a WebAssembly module"));
  EXPECT_THAT(error_of(unknown), AllOf(HasSubstr("proxy_abi_version_*"),
                                       HasSubstr("it exports run"), HasSubstr("set `kind:`")));
  EXPECT_THAT(error_of(hash), AllOf(HasSubstr(std::string(64, '0')), HasSubstr("sha256 is "),
                                    HasSubstr("restore the file")));
  EXPECT_THAT(error_of(kind), HasSubstr("kind route is not offered here (there is: fake)"));
  EXPECT_THAT(error_of(directory), HasSubstr("is a folder"));
}

TEST_F(RegistryTest, EngineErrorsLoseTheirNameAndFurtherLines) {
  EXPECT_EQ(
      module_error({ErrorKind::kInvalidArgument, "module a: bad text\n  --> 1:8\n"}, "a").message,
      "bad text; build the plugin again (for Rust: --target wasm32-wasip1)");
}

TEST_F(RegistryTest, RightHashIsAccepted) {
  config_.plugins = {entry("a")};
  config_.plugins[0].sha256 = sha256_hex(std::as_bytes(std::span(std::string_view(kGood))));
  EXPECT_THAT(registry_.load(config_).failed, IsEmpty());
}

TEST_F(RegistryTest, ReloadMakesTheNextVersion) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  folder_.write("a.wasm", "module\nexport fake\nexport more\n");
  const auto done = registry_.reload("a");
  ASSERT_TRUE(done);
  EXPECT_EQ(done->old_version, 1U);
  EXPECT_EQ(done->new_version, 2U);
  EXPECT_EQ(registry_.find("a")->version, 2U);
  EXPECT_EQ(registry_.find("a")->module->exports().size(), 2U);
  EXPECT_EQ(fake("a").spec.version, 2U);
}

TEST_F(RegistryTest, FailedReloadLeavesTheOldVersionServing) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  const auto before = registry_.set();
  folder_.write("a.wasm", "module\nexport fake\nfail start trapped\n");
  const auto done = registry_.reload("a");
  ASSERT_FALSE(done);
  EXPECT_NE(done.error().kind, ErrorKind::kNotFound);  // even when the contract said so
  EXPECT_EQ(registry_.set(), before);
  const auto info = registry_.find("a");
  EXPECT_EQ(info->state, PluginState::kActive);
  EXPECT_EQ(info->version, 1U);
  EXPECT_THAT(info->last_error, HasSubstr("start trapped"));
  folder_.write("a.wasm", kGood);
  ASSERT_TRUE(registry_.reload("a"));
  EXPECT_EQ(registry_.find("a")->version, 2U);
  EXPECT_THAT(registry_.find("a")->last_error, IsEmpty());
}

TEST_F(RegistryTest, UnknownNamesAreNotFound) {
  EXPECT_EQ(registry_.reload("x").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(registry_.enable("x").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(registry_.disable("x").error().kind, ErrorKind::kNotFound);
}

TEST_F(RegistryTest, OldVersionsAreLetGo) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(registry_.reload("a"));
  EXPECT_EQ(testing::FakePlugin::alive(), 1);
  config_.plugins.clear();
  registry_.apply(config_);
  EXPECT_EQ(testing::FakePlugin::alive(), 0);
}

TEST_F(RegistryTest, DisableUnloadsAndEnableLoadsAnew) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  ASSERT_TRUE(registry_.disable("a"));
  EXPECT_FALSE(registry_.set()->find("a")->enabled);
  EXPECT_EQ(registry_.find("a")->state, PluginState::kDisabled);
  EXPECT_EQ(registry_.find("a")->version, 0U);
  ASSERT_TRUE(registry_.disable("a"));
  ASSERT_TRUE(registry_.enable("a"));
  EXPECT_TRUE(registry_.set()->find("a")->enabled);
  EXPECT_EQ(registry_.find("a")->version, 2U);
}

TEST_F(RegistryTest, DisabledByConfigurationIsLoadedWhenEnabled) {
  config_.plugins = {entry("a")};
  config_.plugins[0].enabled = false;
  registry_.load(config_);
  EXPECT_EQ(registry_.find("a")->state, PluginState::kDisabled);
  EXPECT_EQ(registry_.find("a")->version, 0U);
  ASSERT_TRUE(registry_.enable("a"));
  EXPECT_EQ(registry_.find("a")->state, PluginState::kActive);
  EXPECT_EQ(registry_.find("a")->version, 1U);
}

TEST_F(RegistryTest, EnablingABrokenPluginLeavesItDisabled) {
  config_.plugins = {entry("a", "module\n")};
  config_.plugins[0].enabled = false;
  registry_.load(config_);
  EXPECT_FALSE(registry_.enable("a"));
  EXPECT_EQ(registry_.find("a")->state, PluginState::kDisabled);
}

TEST_F(RegistryTest, ApplyKeepsWhatDidNotChange) {
  config_.plugins = {entry("kept"), entry("changed"), entry("file"), entry("gone")};
  registry_.load(config_);
  const int compiled = engine_.compiled;
  config_.plugins.pop_back();
  config_.plugins[0].location.line = 77;
  config_.plugins[1].configuration = "{}";
  folder_.write("file.wasm", "module\nexport fake\nexport x\n");
  config_.plugins.push_back(entry("new"));
  const ChangeReport report = registry_.apply(config_);
  EXPECT_THAT(report.kept, ElementsAre("kept"));
  EXPECT_THAT(report.reloaded, ElementsAre("changed", "file"));
  EXPECT_THAT(report.removed, ElementsAre("gone"));
  EXPECT_THAT(report.added, ElementsAre("new"));
  EXPECT_EQ(engine_.compiled, compiled + 3);
  EXPECT_THAT(order(), ElementsAre("kept", "changed", "file", "new"));
  EXPECT_EQ(fake("changed").spec.configuration, "{}");
  EXPECT_EQ(registry_.find("kept")->version, 1U);
}

TEST_F(RegistryTest, ApplyWithABadEntryKeepsTheOldOneWhole) {
  config_.plugins = {entry("a"), entry("b")};
  registry_.load(config_);
  config_.plugins[1].priority = 50;
  config_.plugins[1].sha256 = std::string(64, '1');
  const ChangeReport report = registry_.apply(config_);
  EXPECT_EQ(report.failed.size(), 1U);
  EXPECT_THAT(order(), ElementsAre("a", "b"));  // the priority belongs to the version that failed
  config_.plugins[1].sha256.clear();
  config_.plugins[1].priority = 0;
  EXPECT_THAT(registry_.apply(config_).kept, ElementsAre("a", "b"));
  EXPECT_THAT(registry_.find("b")->last_error, IsEmpty());
}

TEST_F(RegistryTest, ApplyIsAllOrNothing) {
  config_.plugins = {entry("a"), entry("gone")};
  registry_.load(config_);
  const config::Config before = config_;
  config_.plugins = {entry("a"), entry("b"), entry("bad", "junk")};
  config_.plugins[0].priority = 7;
  const ChangeReport refused = registry_.apply(config_);
  EXPECT_FALSE(refused.applied);
  EXPECT_THAT(only_failure(refused), HasSubstr("plugin bad: "));
  EXPECT_THAT(order(), ElementsAre("a", "gone"));
  EXPECT_EQ(registry_.find("a")->version, 1U);
  EXPECT_EQ(testing::FakePlugin::alive(), 2);
  registry_.rescan();
  EXPECT_THAT(order(), ElementsAre("a", "gone"));
  EXPECT_THAT(registry_.apply(before).kept, ElementsAre("a", "gone"));
}

TEST_F(RegistryTest, WhatFailedBeforeDoesNotStandInTheWay) {
  config_.plugins = {entry("bad", "junk")};
  registry_.load(config_);
  config_.plugins.push_back(entry("b"));
  const ChangeReport report = registry_.apply(config_);
  EXPECT_TRUE(report.applied);
  EXPECT_EQ(report.failed.size(), 1U);
  EXPECT_THAT(report.added, ElementsAre("b"));
}

TEST_F(RegistryTest, AdminSwitchOutlivesAReloadThatDoesNotMentionIt) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  ASSERT_TRUE(registry_.disable("a"));
  registry_.apply(config_);
  EXPECT_EQ(registry_.find("a")->state, PluginState::kDisabled);
  config_.plugins[0].enabled = false;
  registry_.apply(config_);
  config_.plugins[0].enabled = true;
  registry_.apply(config_);
  EXPECT_EQ(registry_.find("a")->state, PluginState::kActive);
}

TEST_F(RegistryTest, SmokeGateDecides) {
  config_.plugins = {entry("a")};
  config_.plugins[0].smoke.emplace_back();
  EXPECT_THAT(only_failure(registry_.load(config_)),
              HasSubstr("smoke requests cannot be run here"));
  bool pass = false;
  registry_.set_smoke_runner([&](const auto&, const config::Plugin& plugin) -> Result<void> {
    if (pass) return {};
    return fail(ErrorKind::kInvalidArgument, plugin.smoke[0].path + " got 500 instead of 200");
  });
  const auto refused = registry_.reload("a");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("smoke request failed: / got 500 instead of 200"));
  EXPECT_EQ(testing::FakePlugin::alive(), 0);
  pass = true;
  EXPECT_TRUE(registry_.reload("a"));
}

TEST_F(RegistryTest, ReloadAllReportsEach) {
  config_.plugins = {entry("a"), entry("b")};
  registry_.load(config_);
  folder_.write("b.wasm", "junk");
  const ChangeReport report = registry_.reload_all();
  EXPECT_THAT(report.reloaded, ElementsAre("a"));
  EXPECT_EQ(report.failed.size(), 1U);
  EXPECT_EQ(registry_.find("a")->version, 2U);
  EXPECT_EQ(registry_.find("b")->version, 1U);
}

TEST_F(RegistryTest, EventsTellTheStoryAndStayBounded) {
  config_.plugins = {entry("a")};
  registry_.load(config_);
  ASSERT_TRUE(registry_.disable("a"));
  const auto events = registry_.events();
  ASSERT_EQ(events.size(), 2U);
  EXPECT_EQ(events[0].what, "loaded");
  EXPECT_EQ(events[0].message, "version 1");
  EXPECT_EQ(events[1].what, "disabled");
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(registry_.reload("a"));
  EXPECT_EQ(registry_.events().size(), Registry::kEvents);
  EXPECT_EQ(registry_.events().back().message, "version 301");
}

TEST_F(RegistryTest, EnvironmentIsResolved) {
  setenv("HEDDLE_TEST_REGION", "north", 1);
  unsetenv("HEDDLE_TEST_ABSENT");
  config::Plugin plugin = entry("a");
  plugin.environment = {{"MODE", "x"}};
  plugin.permissions.environment = {"HEDDLE_TEST_REGION", "HEDDLE_TEST_ABSENT", "MODE"};
  EXPECT_THAT(make_spec(plugin, 1).environment, ElementsAre("MODE=x", "HEDDLE_TEST_REGION=north"));
}

class DirectoryTest : public RegistryTest {
 protected:
  DirectoryTest() {
    folder_.write("beta.wasm", kGood);
    folder_.write("alpha.wasm", kGood);
    folder_.write("notes.txt", "x");
    folder_.write("bad name.wasm", kGood);
    config_.plugin_directories.emplace_back().path = folder_.path().string();
  }
};

TEST_F(DirectoryTest, EveryWasmFileInNameOrder) {
  registry_.load(config_);
  EXPECT_THAT(order(), ElementsAre("alpha", "beta"));
  EXPECT_TRUE(registry_.find("alpha")->from_directory);
  EXPECT_THAT(registry_.watched_directories(), ElementsAre(folder_.path().string()));
}

TEST_F(DirectoryTest, FileThatAnEntryNamesRunsOnce) {
  config_.plugins.emplace_back();
  config_.plugins[0].name = "mine";
  config_.plugins[0].path = (folder_.path() / "." / "alpha.wasm").string();
  registry_.load(config_);
  EXPECT_THAT(order(), ElementsAre("mine", "beta"));
  folder_.write("alpha.wasm", "module\nexport fake\nexport x\n");
  EXPECT_THAT(registry_.rescan().reloaded, ElementsAre("mine"));
}

TEST_F(DirectoryTest, ConfiguredNameWins) {
  testing::TestFolder other;
  config_.plugins.emplace_back();
  config_.plugins[0].name = "alpha";
  config_.plugins[0].path = other.write("x.wasm", kGood);
  registry_.load(config_);
  EXPECT_THAT(order(), ElementsAre("alpha", "beta"));
  EXPECT_FALSE(registry_.find("alpha")->from_directory);
}

TEST_F(DirectoryTest, RescanTakesUpChanges) {
  registry_.load(config_);
  EXPECT_THAT(registry_.rescan().kept, ElementsAre("alpha", "beta"));
  folder_.write("gamma.wasm", kGood);
  folder_.write("alpha.wasm", "module\nexport fake\nexport x\n");
  folder_.remove("beta.wasm");
  const ChangeReport report = registry_.rescan();
  EXPECT_THAT(report.added, ElementsAre("gamma"));
  EXPECT_THAT(report.reloaded, ElementsAre("alpha"));
  EXPECT_THAT(report.removed, ElementsAre("beta"));
  EXPECT_THAT(order(), ElementsAre("alpha", "gamma"));
}

TEST_F(DirectoryTest, BrokenFileLeavesTheOldVersionAndIsTriedOnce) {
  registry_.load(config_);
  folder_.write("alpha.wasm", "junk");
  EXPECT_EQ(registry_.rescan().failed.size(), 1U);
  EXPECT_EQ(registry_.find("alpha")->state, PluginState::kActive);
  const int compiled = engine_.compiled;
  EXPECT_THAT(registry_.rescan().failed, IsEmpty());
  EXPECT_EQ(engine_.compiled, compiled);
  folder_.write("alpha.wasm",
                kGood);  // back to what serves: nothing to load, nothing to complain of
  EXPECT_THAT(registry_.rescan().kept, ElementsAre("alpha", "beta"));
  EXPECT_THAT(registry_.find("alpha")->last_error, IsEmpty());
}

TEST_F(DirectoryTest, UnwatchedDirectoryWaitsForApply) {
  config_.plugin_directories[0].watch = false;
  registry_.load(config_);
  folder_.write("gamma.wasm", kGood);
  folder_.remove("beta.wasm");
  registry_.rescan();
  EXPECT_THAT(order(), ElementsAre("alpha", "beta"));
  registry_.apply(config_);
  EXPECT_THAT(order(), ElementsAre("alpha", "gamma"));
}

TEST_F(DirectoryTest, MissingDirectoryIsEmpty) {
  config_.plugin_directories[0].path = folder_.file("nowhere");
  registry_.load(config_);
  EXPECT_THAT(order(), IsEmpty());
}

TEST_F(DirectoryTest, UnreadableDirectoryKeepsItsPlugins) {
  const testing::TestFolder links;
  const std::string link = links.file("link");
  const testing::TestFolder target;
  target.write("gamma.wasm", kGood);
  const auto lead_to = [&](const std::string& path) {
    std::filesystem::remove(link);
    std::filesystem::create_symlink(path, link);
  };
  lead_to(target.path().string());
  config_.plugin_directories.emplace_back().path = link;
  registry_.load(config_);
  EXPECT_THAT(order(), ElementsAre("alpha", "beta", "gamma"));
  lead_to(folder_.file("notes.txt"));  // to list a file fails for everybody, root included
  folder_.remove("beta.wasm");
  EXPECT_THAT(registry_.rescan().removed, ElementsAre("beta"));
  registry_.apply(config_);
  EXPECT_THAT(order(), ElementsAre("alpha", "gamma"));
  EXPECT_EQ(registry_.find("gamma")->state, PluginState::kActive);
  lead_to(folder_.file("nowhere"));
  EXPECT_THAT(registry_.rescan().removed, ElementsAre("gamma"));
}

}  // namespace
}  // namespace heddle::plugins
