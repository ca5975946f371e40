// For the tests of this folder only: loads a fixture in one of the three isolations and calls it on
// a worker.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "contracts/native_hook/contract.h"
#include "contracts/native_hook/slots.h"
#include "extension/message_hook_chain.h"
#include "net/worker.h"

namespace heddle::native_hook {

enum class Where : std::uint8_t { kServer, kProcess, kSandbox };

inline std::vector<std::byte> read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  const std::string bytes = std::move(text).str();
  const auto view = std::as_bytes(std::span(bytes));
  return {view.begin(), view.end()};
}

class HookTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ =
        std::filesystem::temp_directory_path() / ("heddle-hook-test-" + std::to_string(getpid()));
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    setenv("QPC_RECORDER_FILE", (folder_ / "ends").c_str(), 1);
    auto log = Log::create(LogLevel::kDebug, LogFormat::kJson, folder_ / "log");
    ASSERT_TRUE(log.has_value());
    log_ = std::move(*log);
    auto engine = sandbox::Engine::create({.instances = 8}, *log_, metrics_);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = std::move(*engine);
    contract_ = std::make_unique<Contract>(Dependencies{
        .engine = *engine_, .log = *log_, .metrics = metrics_, .child_program = NATIVE_HOOK_CHILD});
    worker_ = std::make_unique<net::Worker>(0, *log_);
    worker_->start();
    spec_.name = "hook";
    spec_.memory_limit = std::size_t{64} << 20U;
    spec_.timeout = std::chrono::milliseconds(100);
    spec_.buffer_limit = std::size_t{1} << 20U;
    spec_.log_lines_per_second = 1'000;
    spec_.log_line_bytes = 4'096;
    spec_.host_calls = 1'000;
    spec_.on_failure = extension::FailurePolicy::kOpen;
  }

  void TearDown() override {
    drop();
    worker_->stop();
    worker_->join();
    worker_.reset();
    contract_.reset();
    engine_.reset();
    log_.reset();
    unsetenv("QPC_RECORDER_FILE");
    std::filesystem::remove_all(folder_);
  }

  Result<std::shared_ptr<extension::LoadedPlugin>> load(const std::string& name,
                                                        Where where = Where::kServer) {
    const std::string extension = where == Where::kSandbox ? ".wasm" : ".so";
    spec_.path = NATIVE_HOOK_TESTDATA + name + extension;
    spec_.isolation = where == Where::kProcess ? "process" : "none";
    // A child process has no other environment.
    spec_.environment.clear();
    if (where == Where::kProcess && notes_ends_) {
      spec_.environment = {"QPC_RECORDER_FILE=" + (folder_ / "ends").string()};
    }
    const auto bytes = read_bytes(spec_.path);
    EXPECT_FALSE(bytes.empty()) << spec_.path;
    if (where != Where::kSandbox) return contract_->load_file(spec_, bytes);
    auto module = engine_->compile(bytes, name);
    if (!module) return std::unexpected(module.error());
    EXPECT_TRUE(contract_->recognises(**module));
    return contract_->load(spec_, *module);
  }
  void start(const std::string& name, Where where = Where::kServer) {
    auto loaded = load(name, where);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    plugin_ = std::move(*loaded);
    hook_ = plugin_->message_hook();
    ASSERT_NE(hook_, nullptr);
    chain_ = std::make_shared<const extension::HookChain>(
        std::vector<std::shared_ptr<extension::MessageHook>>{hook_});
  }
  // It has ended when this returns: a call that has just answered may hold it until its event ends.
  void drop() {
    chain_.reset();
    hook_.reset();
    plugin_.reset();
    on_worker([] {});
  }
  std::string refusal(const std::string& name, Where where = Where::kServer) {
    auto loaded = load(name, where);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? std::string() : loaded.error().message;
  }

  void on_worker(std::function<void()> task) {
    std::promise<void> done;
    worker_->post([&] {
      task();
      done.set_value();
    });
    done.get_future().get();
  }

  extension::MessageEvent message(std::size_t size, std::uint64_t seq = 1) const {
    extension::MessageEvent event;
    event.sender_identity = sender_;
    event.recipient_key = recipient_;
    event.channel_id = channel_;
    event.payload_size = size;
    event.seq = seq;
    return event;
  }
  extension::Verdict ask(const extension::MessageEvent& event) {
    std::promise<extension::Verdict> verdict;
    worker_->post([&] {
      chain_->ask(extension::HookMoment::kEnqueue, *worker_, event,
                  [&](extension::Verdict given) { verdict.set_value(std::move(given)); });
    });
    return verdict.get_future().get();
  }
  extension::Verdict ask(std::size_t size) { return ask(message(size)); }
  void tell(const extension::HookEvent& event) {
    on_worker([&] { chain_->tell(*worker_, event); });
  }
  // What the recorder was told since the last time.
  std::string told() { return ask(0).reason; }

  std::string file(const std::string& name) const {
    const auto bytes = read_bytes(folder_ / name);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  std::string log_text() {
    log_->flush();
    return file("log");
  }
  // Another thread writes the log.
  bool logs(std::string_view what) {
    for (int i = 0; i < 1'000; ++i) {
      if (log_text().contains(what)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  std::uint64_t counter(std::string_view name) {
    std::uint64_t sum = 0;
    metrics_.visit([&](const metrics::Registry::Entry& entry) {
      if (entry.name == name && entry.counter != nullptr) sum += entry.counter->value();
    });
    return sum;
  }

  std::string sender_ = std::string(32, 's');
  std::string recipient_ = std::string(32, 'r');
  std::string channel_ = std::string(16, 'c');
  bool notes_ends_ = true;  // in a child process: in a file
  std::filesystem::path folder_;
  metrics::Registry metrics_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<sandbox::Engine> engine_;
  std::unique_ptr<Contract> contract_;
  std::unique_ptr<net::Worker> worker_;
  extension::PluginSpec spec_;
  std::shared_ptr<extension::LoadedPlugin> plugin_;
  std::shared_ptr<extension::MessageHook> hook_;
  std::shared_ptr<const extension::HookChain> chain_;
};

}  // namespace heddle::native_hook
