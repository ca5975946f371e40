#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "contracts/message_hook/contract.h"
#include "extension/message_hook_chain.h"
#include "net/worker.h"

namespace heddle::message_hook {
namespace {

using extension::HookMoment;
using extension::Verdict;
using testing::HasSubstr;

struct Nowhere final : extension::VerdictReceiver {
  void on_verdict(Verdict /*verdict*/) override {}
};

class MessageHookTest : public testing::Test {
 protected:
  void SetUp() override {
    path_ = std::filesystem::temp_directory_path() /
            ("heddle-message-hook-" + std::to_string(getpid()) + ".log");
    std::filesystem::remove(path_);
    auto log = Log::create(LogLevel::kTrace, LogFormat::kJson, path_);
    ASSERT_TRUE(log.has_value());
    log_ = std::move(*log);
    auto engine = sandbox::Engine::create({.instances = 8}, *log_, metrics_);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = std::move(*engine);
    spec_.name = "words";
    spec_.path = "/plugins/10-words.wasm";
    spec_.timeout = std::chrono::milliseconds(100);
    spec_.buffer_limit = std::size_t{1} << 20U;
    spec_.log_lines_per_second = 1'000;
    spec_.log_line_bytes = 4'096;
    spec_.host_calls = 1'000;
  }
  void TearDown() override {
    hook_.reset();
    plugin_.reset();
    std::filesystem::remove(path_);
  }

  Result<std::shared_ptr<extension::LoadedPlugin>> load(const std::string& body) {
    const std::string text = "(module " + body + ")";
    auto module = engine_->compile(std::as_bytes(std::span(text)), "words");
    if (!module) return std::unexpected(module.error());
    Contract contract({.engine = *engine_, .log = *log_, .metrics = metrics_});
    EXPECT_TRUE(contract.recognises(**module));
    return contract.load(spec_, *module);
  }
  void start(const std::string& body) {
    auto loaded = load(body);
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message;
    plugin_ = std::move(*loaded);
    hook_ = plugin_->message_hook();
  }
  std::string refusal(const std::string& body) {
    auto loaded = load(body);
    EXPECT_FALSE(loaded.has_value());
    return loaded ? std::string() : loaded.error().message;
  }
  Verdict ask(std::string_view text = "hello", std::size_t worker = 0) {
    extension::MessageEvent event;
    event.text = text;
    event.payload_size = text.size();
    event.session_id = 3;
    event.sender_id = 4;
    Nowhere receiver;
    return *hook_->ask(HookMoment::kSend, workers_[worker], event, receiver);
  }
  std::string log_text() const {
    log_->flush();
    std::ifstream file(path_);
    std::stringstream text;
    text << file.rdbuf();
    return std::move(text).str();
  }
  // Another thread writes the log.
  bool logs(std::string_view what, std::size_t times = 1) const {
    for (int i = 0; i < 1'000; ++i) {
      if (count(log_text(), what) >= times) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  static std::size_t count(const std::string& text, std::string_view what) {
    std::size_t out = 0;
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1))
      ++out;
    return out;
  }

  std::filesystem::path path_;
  metrics::Registry metrics_;
  std::unique_ptr<Log> log_;
  std::unique_ptr<sandbox::Engine> engine_;
  std::unique_ptr<Log> silent_ = Log::null();
  std::array<net::Worker, 2> workers_{net::Worker(0, *silent_), net::Worker(1, *silent_)};
  extension::PluginSpec spec_;
  std::shared_ptr<extension::LoadedPlugin> plugin_;
  std::shared_ptr<extension::MessageHook> hook_;
};

constexpr const char* kMemory = R"((memory (export "memory") 1))";
// Logs the payload and returns what its fourth character of the text says.
constexpr const char* kLogs = R"(
  (import "env" "ourchat_log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 1)
  (func (export "on_message_send") (param i32 i32) (result i32)
    (call $log (i32.const 2) (local.get 0) (local.get 1)) (i32.const 0)))";

std::string send(const std::string& code) {
  return std::string(kMemory) +
         R"((func (export "on_message_send") (param i32 i32) (result i32) )" + code + ")";
}

TEST_F(MessageHookTest, ZeroAllowsAndOneBlocks) {
  start(send("(i32.const 0)"));
  EXPECT_TRUE(ask().allowed);
  start(send("(i32.const 1)"));
  const auto verdict = ask();
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.plugin, "words");
  EXPECT_EQ(hook_->file_name(), "10-words.wasm");
}

TEST_F(MessageHookTest, AnotherNumberAllowsWithAWarning) {
  start(send("(i32.const 7)"));
  EXPECT_TRUE(ask().allowed);
  EXPECT_TRUE(logs("\"code\":\"7\""));
}

TEST_F(MessageHookTest, ThePayloadIsTheMessageAsJson) {
  start(kLogs);
  ask("say \"hi\"");
  EXPECT_TRUE(logs(R"({\"markdown_text\":\"say \\\"hi\\\"\",\"involved_files\":[],)"
                   R"(\"session_id\":3,\"sender_id\":4,\"is_encrypted\":false})"));
}

TEST_F(MessageHookTest, APayloadLargerThanTheMemory) {
  spec_.log_line_bytes = 1U << 20U;
  start(kLogs);
  EXPECT_TRUE(ask(std::string(300'000, 'x')).allowed);
  EXPECT_TRUE(logs(std::string(300'000, 'x')));
  const auto grown = plugin_->stats().memory_bytes;
  ask(std::string(290'000, 'y'));
  EXPECT_EQ(plugin_->stats().memory_bytes, grown) << "the region is used again";
}

// One that never gives address 0 away, and tells what it frees by blocking the next message.
TEST_F(MessageHookTest, UsesTheGuestsAllocator) {
  for (const std::string name : {"alloc", "allocate", "malloc", "ourchat_alloc"}) {
    start(std::string(kMemory) + R"(
      (global $next (mut i32) (i32.const 1024))
      (func (export ")" +
          name + R"(") (param i32) (result i32) (global.get $next))
      (func (export "on_message_send") (param i32 i32) (result i32)
        (i32.ne (local.get 0) (i32.const 1024))))");
    EXPECT_TRUE(ask().allowed) << name;
  }
}

TEST_F(MessageHookTest, GivesBackWhatItAllocated) {
  start(std::string(kMemory) + R"(
    (global $freed (mut i32) (i32.const 0))
    (func (export "alloc") (param i32) (result i32) (i32.const 1024))
    (func (export "dealloc") (param i32 i32)
      (global.set $freed (i32.eq (local.get 0) (i32.const 1024))))
    (func (export "on_message_send") (param i32 i32) (result i32) (global.get $freed)))");
  EXPECT_TRUE(ask().allowed);
  EXPECT_FALSE(ask().allowed);
}

TEST_F(MessageHookTest, NeverPlacesAtAddressZero) {
  start(R"((memory (export "memory") 0)
    (func (export "on_message_send") (param i32 i32) (result i32) (i32.eqz (local.get 0))))");
  EXPECT_TRUE(ask().allowed);
  start(std::string(kMemory) + R"(
    (func (export "alloc") (param i32) (result i32) (i32.const 0))
    (func (export "on_message_send") (param i32 i32) (result i32) (i32.const 1)))");
  EXPECT_TRUE(ask().allowed) << "an allocator that fails is a failure, and this hook fails open";
  EXPECT_TRUE(logs("alloc gave address 0"));
}

// Each shape of the life cycle; all of them log what was called.
TEST_F(MessageHookTest, EveryShapeOfTheLifeCycle) {
  const auto life = [](const std::string& type, const std::string& result) {
    std::string out = R"((import "ourchat" "log" (func $log (param i32 i32 i32)))
      (memory (export "memory") 1) (data (i32.const 16) "loadedunloadenabledable"))";
    int at = 16;
    for (const std::string name : {"load", "unload", "enable", "disable"}) {
      out += fmt::format(
          R"((func (export "on_plugin_{}") {} (call $log (i32.const 1) (i32.const {}) (i32.const 6)){}))",
          name, type, at, result);
      at += 6;
    }
    return out;
  };
  for (const auto& [type, result] : {std::pair{"", ""}, std::pair{"(result i32)", "(i32.const 0)"},
                                     std::pair{"(param i32 i32) (result i32)", "(i32.const 0)"}}) {
    start(life(type, result));
    hook_.reset();
    plugin_.reset();
  }
  EXPECT_TRUE(logs("\"message\":\"unload\"", 3));
  const std::string log = log_text();
  EXPECT_EQ(count(log, "\"message\":\"loaded\""), 3U);
  EXPECT_EQ(count(log, "\"message\":\"unload\""), 3U);
  EXPECT_EQ(count(log, "\"message\":\"enable\""), 3U);
  EXPECT_LT(log.find("loaded"), log.find("enable"));
  EXPECT_LT(log.find("dable"), log.find("unload"));
}

TEST_F(MessageHookTest, ALoadThatFails) {
  const std::string body =
      std::string(kMemory) + R"((func (export "on_plugin_load") (result i32) )";
  EXPECT_THAT(refusal(body + "(i32.const 3))"), HasSubstr("on_plugin_load returned 3"));
  EXPECT_THAT(refusal(body + "unreachable)"), HasSubstr("failed in on_plugin_load"));
  EXPECT_THAT(refusal(body + "(loop (br 0)) (i32.const 0))"), HasSubstr("timeout"));
}

TEST_F(MessageHookTest, RefusesOtherTypes) {
  EXPECT_THAT(
      refusal(
          std::string(kMemory) +
          R"((func (export "on_message_send") (param i32 i32 i32) (result i32) (i32.const 0)))"),
      HasSubstr("on_message_send with type (i32, i32, i32) -> i32; it must be"));
  EXPECT_THAT(refusal(std::string(kMemory) + R"((func (export "on_plugin_load") (param i64)))"),
              HasSubstr("it must be (), () -> i32 or (i32, i32) -> i32"));
  EXPECT_THAT(refusal(R"((func (export "on_plugin_load")))"), HasSubstr("exports no memory"));
  EXPECT_THAT(refusal(R"((import "env" "magic" (func)) (memory (export "memory") 1)
                         (func (export "on_plugin_load")))"),
              HasSubstr("magic"));
}

TEST_F(MessageHookTest, ATrapLetsTheMessagePassAndTheNextOneMeetsAFreshInstance) {
  start(std::string(kMemory) + R"((global $calls (mut i32) (i32.const 0))
    (func (export "on_message_send") (param i32 i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (if (i32.eq (global.get $calls) (i32.const 2)) (then unreachable))
      (i32.eq (global.get $calls) (i32.const 1))))");
  EXPECT_FALSE(ask().allowed);
  EXPECT_TRUE(ask().allowed) << "it trapped";
  EXPECT_FALSE(ask().allowed) << "a fresh instance";
  EXPECT_EQ(plugin_->stats().errors, 1U);
  EXPECT_TRUE(logs("plugin failed in on_message_send"));
}

TEST_F(MessageHookTest, FailsClosedWhenToldTo) {
  spec_.on_failure_given = true;
  spec_.on_failure = extension::FailurePolicy::kClosed;
  start(send("unreachable"));
  const auto verdict = ask();
  EXPECT_FALSE(verdict.allowed);
  EXPECT_EQ(verdict.reason, "the plugin failed");
}

TEST_F(MessageHookTest, AnEndlessLoopIsStopped) {
  start(send("(loop (br 0)) (i32.const 1)"));
  EXPECT_TRUE(ask().allowed);
  EXPECT_EQ(plugin_->stats().limit_hits, 1U);
  EXPECT_THAT(plugin_->stats().last_error, HasSubstr("timeout"));
}

TEST_F(MessageHookTest, MemoryGrowsToItsLimitOnly) {
  spec_.memory_limit_given = true;
  spec_.memory_limit = std::size_t{1} << 20U;
  start(send("(i32.eq (memory.grow (i32.const 64)) (i32.const -1))"));
  EXPECT_FALSE(ask().allowed) << "the guest saw that its growth was denied";
}

TEST_F(MessageHookTest, AnyCallbackMakesAHook) {
  start(std::string(kMemory) +
        R"((func (export "on_message_sent") (param i32 i32) (result i32) (i32.const 0)))");
  EXPECT_TRUE(hook_->wants(HookMoment::kSent));
  EXPECT_FALSE(hook_->wants(HookMoment::kSend));
}

TEST_F(MessageHookTest, APayloadOverItsLimit) {
  spec_.buffer_limit = 1'000;
  start(send("(i32.const 0)"));
  EXPECT_TRUE(ask(std::string(1'000, '\x01')).allowed) << "six times as long as JSON";
  EXPECT_EQ(plugin_->stats().limit_hits, 0U);
  EXPECT_FALSE(ask(std::string(1'001, 'x')).allowed) << "whatever on_failure says";
  EXPECT_EQ(plugin_->stats().limit_hits, 1U);
}

TEST_F(MessageHookTest, TheIdOfASentMessageIsEightBytes) {
  start(std::string(kMemory) + R"(
    (global $right (mut i32) (i32.const 0))
    (func (export "on_message_sent") (param i32 i32) (result i32)
      (global.set $right (i32.and (i32.eq (local.get 1) (i32.const 8))
        (i64.eq (i64.load align=1 (local.get 0)) (i64.const 0x0102030405060708))))
      (i32.const 1))
    (func (export "on_message_send") (param i32 i32) (result i32) (global.get $right)))");
  EXPECT_TRUE(hook_->wants(HookMoment::kSent));
  hook_->tell(workers_[0], extension::SentEvent{0x0102030405060708});
  EXPECT_FALSE(ask().allowed);
}

TEST_F(MessageHookTest, OneInstanceForAllWorkersUnlessToldOtherwise) {
  const std::string counts = std::string(kMemory) + R"((global $calls (mut i32) (i32.const 0))
    (func (export "on_message_send") (param i32 i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.eq (global.get $calls) (i32.const 2))))";
  start(counts);
  EXPECT_TRUE(ask("a", 0).allowed);
  EXPECT_FALSE(ask("a", 1).allowed);
  spec_.instances = "per_worker";
  start(counts);
  EXPECT_TRUE(ask("a", 0).allowed);
  EXPECT_TRUE(ask("a", 1).allowed);
  EXPECT_EQ(plugin_->stats().instances, 2U);
}

TEST_F(MessageHookTest, CallsOfSeveralThreadsComeInTurn) {
  start(std::string(kMemory) + R"((global $calls (mut i32) (i32.const 0))
    (func (export "on_message_send") (param i32 i32) (result i32)
      (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
      (i32.eq (global.get $calls) (i32.const 2001))))");
  std::vector<std::jthread> threads;
  threads.reserve(2);
  std::atomic<int> blocked{0};
  for (std::size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int call = 0; call < 1'000; ++call) blocked += ask("a", i).allowed ? 0 : 1;
    });
  }
  threads.clear();
  EXPECT_EQ(blocked, 0);
  EXPECT_FALSE(ask().allowed) << "every call was counted";
}

TEST_F(MessageHookTest, BadAddressesOfLogLines) {
  start(R"((import "env" "ourchat_log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (func (export "on_message_send") (param i32 i32) (result i32)
      (call $log (i32.const 9) (i32.const -1) (i32.const 100)) (i32.const 1)))");
  EXPECT_FALSE(ask().allowed) << "it went on";
  EXPECT_TRUE(logs("ourchat_log with an address outside"));
  start(R"((import "ourchat" "get_config" (func $get (param i32 i32)))
    (memory (export "memory") 1)
    (func (export "on_message_send") (param i32 i32) (result i32)
      (call $get (i32.const 0) (i32.const 10)) (call $get (i32.const -1) (i32.const 100))
      (i32.const 1)))");
  EXPECT_TRUE(ask().allowed) << "it trapped";
  EXPECT_TRUE(logs("ourchat.get_config with an address outside"));
}

TEST_F(MessageHookTest, HooksThatItHasNot) {
  start(std::string(kMemory) + R"((func (export "on_plugin_load")))");
  EXPECT_FALSE(hook_->wants(HookMoment::kSend));
  EXPECT_FALSE(hook_->wants(HookMoment::kSent));
  EXPECT_FALSE(hook_->wants(HookMoment::kEnqueue));
}

}  // namespace
}  // namespace heddle::message_hook
