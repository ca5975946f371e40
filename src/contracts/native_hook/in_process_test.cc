// Shared objects within the server: what is refused, and the watchdog.
#include "contracts/native_hook/in_process.h"

#include <elf.h>
#include <gmock/gmock.h>

#include <cstring>
#include <thread>

#include "contracts/native_hook/elf_check.h"
#include "contracts/native_hook/testing.h"

namespace heddle::native_hook {
namespace {

using testing::HasSubstr;
using testing::Not;

using InProcessTest = HookTest;

TEST_F(InProcessTest, RefusesAMissingSymbol) {
  EXPECT_THAT(refusal("other_symbol"), HasSubstr("exports no qpc_plugin_init"));
}

TEST_F(InProcessTest, RefusesAnUnresolvedSymbol) {
  const std::string text = refusal("unresolved");
  EXPECT_THAT(text, HasSubstr("undefined symbol: nobody_has_this"));
  EXPECT_THAT(text, Not(HasSubstr("/proc/self")));
}

TEST_F(InProcessTest, DestroysWhatItDoesNotTake) {
  EXPECT_THAT(refusal("longer_table"), HasSubstr("wrote 8 bytes behind the HookVTable of 80"));
  EXPECT_EQ(file("ends"), "destroy\n");
}

TEST_F(InProcessTest, RefusesOtherFiles) {
  const auto refused = [](std::string_view text) {
    return check_shared_object(std::as_bytes(std::span(text))).error().message;
  };
  EXPECT_THAT(refused("#!/bin/sh"), HasSubstr("no shared object"));
  EXPECT_THAT(refused("\x7f"
                      "ELF"),
              HasSubstr("truncated"));
  auto bytes = read_bytes(NATIVE_HOOK_TESTDATA "fast.so");
  ASSERT_TRUE(check_shared_object(bytes).has_value());
  const auto changed = [&](std::size_t at, std::uint16_t value) {
    auto copy = bytes;
    std::memcpy(copy.data() + at, &value, sizeof value);
    return check_shared_object(copy).error().message;
  };
  EXPECT_THAT(changed(offsetof(Elf64_Ehdr, e_machine), EM_RISCV), HasSubstr("built for RISC-V"));
  EXPECT_THAT(changed(offsetof(Elf64_Ehdr, e_type), ET_EXEC), HasSubstr("no shared object"));
  bytes.resize(bytes.size() / 4);
  EXPECT_THAT(check_shared_object(bytes).error().message, HasSubstr("truncated"));
}

TEST_F(InProcessTest, TheWatchdogNamesAPluginThatBlocks) {
  start("blocks");
  EXPECT_TRUE(ask(1).allowed);
  EXPECT_TRUE(logs("native code of a plugin blocks its thread"));
  EXPECT_TRUE(logs("\"plugin\":\"hook\""));
  EXPECT_EQ(counter("heddle_plugin_stalls_total"), 1U);
}

// Not each is timed, and those that are stand for the others.
TEST_F(InProcessTest, EveryCallIsCountedAndHasADuration) {
  start("recorder");
  constexpr int kCalls = 10'000;
  on_worker([&] {
    for (int i = 0; i < kCalls; ++i) {
      chain_->ask(extension::HookMoment::kEnqueue, *worker_, message(5), [](const auto&) {});
    }
  });
  std::uint64_t durations = 0;
  std::uint64_t nanoseconds = 0;
  metrics_.visit([&](const metrics::Registry::Entry& entry) {
    if (entry.name != "heddle_plugin_call_duration_seconds") return;
    durations += entry.histogram->snapshot().count;
    nanoseconds += entry.histogram->snapshot().sum;
  });
  EXPECT_EQ(counter("heddle_plugin_calls_total"), kCalls);
  EXPECT_NEAR(static_cast<double>(durations), kCalls, 16);
  EXPECT_GT(nanoseconds, 0U);
}

TEST_F(InProcessTest, ReasonsBelongToTheirCall) {
  start("recorder");
  std::vector<std::jthread> threads;
  std::atomic<int> wrong{0};
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      struct Nowhere final : extension::VerdictReceiver {
        void on_verdict(extension::Verdict) override {}
      } receiver;
      for (int call = 0; call < 2'000; ++call) {
        const std::size_t size = i % 2 == 0 ? 7 : 8;
        const auto verdict =
            hook_->ask(extension::HookMoment::kEnqueue, *worker_, message(size), receiver);
        if (verdict->reason != (size == 7 ? "seven" : kNoReason)) ++wrong;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace heddle::native_hook
