#include "sandbox/wasi.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <span>

#include "base/clock.h"
#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

using Values = std::vector<std::int64_t>;

class RecordingHost final : public WasiHost {
 public:
  void write(Instance& /*instance*/, int fd, std::string_view bytes) override {
    written[fd] += bytes;
  }
  std::map<int, std::string> written;
};

std::string text_of(const FunctionType& type) {
  std::string out;
  for (const ValueType parameter : type.parameters) {
    out += parameter == ValueType::kI64 ? " i64" : " i32";
  }
  return out;
}

// A module that imports one function, with an export for each list of arguments to call it with:
// run0, run1, ... return what it returned.
std::string caller(const HostFunction& function, std::span<const Values> calls) {
  const FunctionType type = function.type();
  const bool has_result = !type.results.empty();
  std::string out = "(module (import \"" + std::string(function.module) + "\" \"" +
                    std::string(function.name) + "\" (func $f (param" + text_of(type) + ")" +
                    (has_result ? " (result i32)" : "") + "))";
  out += R"((memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00\15\00\00\00\06\00\00\00hello world"))";
  for (std::size_t run = 0; run < calls.size(); ++run) {
    out += "(func (export \"run" + std::to_string(run) + "\") (result i32) (call $f";
    for (std::size_t i = 0; i < type.parameters.size(); ++i) {
      out += type.parameters[i] == ValueType::kI64 ? " (i64.const " : " (i32.const ";
      out += std::to_string(i < calls[run].size() ? calls[run][i] : 0) + ")";
    }
    out += has_result ? "))" : ") i32.const 0)";
  }
  return out + ")";
}

class WasiTest : public SandboxTest {
 protected:
  void SetUp() override {
    SandboxTest::SetUp();
    host_.arguments = {"plugin", "--fast"};
    host_.environment = {"KEY=VALUE"};
    wasi_ = &host_;
  }

  const HostFunction& row(std::string_view name,
                          std::string_view module = "wasi_snapshot_preview1") {
    const auto found = std::ranges::find_if(wasi_functions(), [&](const HostFunction& each) {
      return each.name == name && each.module == module;
    });
    EXPECT_NE(found, wasi_functions().end()) << name;
    return *found;
  }

  // The errno; the instance stays in instance_.
  std::int32_t call(std::string_view name, const Values& arguments) {
    return call(row(name), arguments);
  }
  std::int32_t call(const HostFunction& function, const Values& arguments) {
    const auto result = run(function, arguments);
    EXPECT_TRUE(result.has_value()) << function.name << ": " << result.error().message;
    return result.value_or(-1);
  }
  GuestResult<std::int32_t> run(const HostFunction& function, const Values& arguments) {
    instance_ = start(caller(function, {&arguments, 1}));
    return instance_->call(*instance_->function<std::int32_t()>("run0"));
  }
  template <typename T>
  T at(GuestPtr address) {
    return instance_->memory().load<T>(address).value();
  }

  RecordingHost host_;
  std::unique_ptr<Instance> instance_;
};

TEST_F(WasiTest, EveryFunctionOfPreview1UnderBothNames) {
  std::map<std::string_view, std::set<std::string_view>> names;
  for (const HostFunction& each : wasi_functions()) names[each.module].insert(each.name);
  EXPECT_EQ(names.size(), 2U);
  EXPECT_EQ(names["wasi_snapshot_preview1"].size(), 46U);
  EXPECT_EQ(names["wasi_unstable"], names["wasi_snapshot_preview1"]);
}

// Whatever numbers a guest passes, the call returns or ends the guest; it never harms the host.
TEST_F(WasiTest, HostilePointers) {
  const std::int64_t hostile[] = {0,     1,     2,          3,          8,          65535,
                                  65536, 65533, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF};
  for (const HostFunction& function : wasi_functions()) {
    const std::size_t count = function.parameter_count;
    std::vector<Values> calls;
    for (const std::int64_t value : hostile) {
      calls.emplace_back(count, value);
      for (std::size_t position = 0; position < count; ++position) {
        calls.emplace_back(count, value).at(position) =
            1;  // plausible, so that the others get their turn
      }
    }
    const auto linked = link(caller(function, calls));
    ASSERT_TRUE(linked.has_value()) << linked.error().message;
    for (std::size_t i = 0; i < calls.size(); ++i) {
      auto made = Instance::create(*linked, limits_, nullptr, wasi_);
      ASSERT_TRUE(made.has_value()) << made.error().message;
      const auto result =
          (*made)->call(*(*made)->function<std::int32_t()>("run" + std::to_string(i)));
      EXPECT_TRUE(result.has_value() || result.error().reason == TrapReason::kExit)
          << function.name << ": " << result.error().message;
    }
  }
}

TEST_F(WasiTest, BadAddressesAreFaults) {
  const std::tuple<std::string_view, Values> cases[] = {
      {"args_sizes_get", {65533, 0}},    {"args_sizes_get", {0, 65533}},
      {"args_get", {0, 65530}},          {"args_get", {65534, 0}},
      {"environ_sizes_get", {-1, 0}},    {"environ_get", {0, -1}},
      {"clock_time_get", {0, 0, 65529}}, {"clock_res_get", {1, -1}},
      {"random_get", {65530, 7}},        {"random_get", {-1, 1}},
      {"fd_write", {1, 65530, 1, 0}},    {"fd_write", {1, 0, 1, 65534}},
      {"fd_write", {1, 8, 2, 0}},  // the second vector lies in the text
      {"fd_read", {0, 0, 1, -1}},        {"fd_fdstat_get", {1, 65520}},
      {"fd_filestat_get", {1, 65520}},   {"poll_oneoff", {65500, 0, 1, 0}},
      {"poll_oneoff", {0, 65520, 1, 0}}, {"poll_oneoff", {0, 0, 1, -1}},
  };
  for (const auto& [name, arguments] : cases) {
    EXPECT_EQ(call(name, arguments), wasi::kFault) << name;
  }
  EXPECT_TRUE(host_.written.empty());
}

TEST_F(WasiTest, Write) {
  EXPECT_EQ(call("fd_write", {1, 0, 2, 100}), wasi::kSuccess);
  EXPECT_EQ(host_.written[1], "hello world");
  EXPECT_EQ(at<std::uint32_t>(100), 11U);
  EXPECT_EQ(call("fd_write", {2, 0, 1, 100}), wasi::kSuccess);
  EXPECT_EQ(host_.written[2], "hello");
  EXPECT_EQ(call("fd_write", {0, 0, 1, 100}), wasi::kBadFd);
  EXPECT_EQ(call("fd_write", {3, 0, 1, 100}), wasi::kBadFd);
  EXPECT_EQ(call("fd_write", {1, 0, 2000, 100}), wasi::kInvalid);
  wasi_ = nullptr;
  EXPECT_EQ(call("fd_write", {1, 0, 2, 100}), wasi::kSuccess);
}

TEST_F(WasiTest, HugeWritesArePartial) {
  limits_.memory = std::size_t{4} << 20U;
  instance_ = start(R"((module
    (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 48)
    (data (i32.const 0) "\00\00\00\00\00\00\20\00\00\00\00\00\00\00\20\00")
    (func (export "run") (result i32)
      (call $w (i32.const 1) (i32.const 0) (i32.const 2) (i32.const 64)))))");
  EXPECT_EQ(instance_->call(*instance_->function<std::int32_t()>("run")), wasi::kSuccess);
  EXPECT_EQ(at<std::uint32_t>(64), wasi::kMaxWrite);
  EXPECT_EQ(host_.written[1].size(), wasi::kMaxWrite);
}

TEST_F(WasiTest, StandardStreams) {
  EXPECT_EQ(call("fd_read", {0, 0, 1, 100}), wasi::kSuccess);
  EXPECT_EQ(at<std::uint32_t>(100), 0U);
  EXPECT_EQ(call("fd_read", {1, 0, 1, 100}), wasi::kBadFd);
  EXPECT_EQ(call("fd_fdstat_get", {1, 100}), wasi::kSuccess);
  EXPECT_EQ(at<std::uint8_t>(100), 2);
  EXPECT_EQ(at<std::uint64_t>(108), 64U);
  EXPECT_EQ(call("fd_fdstat_get", {3, 100}), wasi::kBadFd);
  EXPECT_EQ(call("fd_prestat_get", {3, 100}), wasi::kBadFd);
  EXPECT_EQ(call("fd_close", {1}), wasi::kSuccess);
  EXPECT_EQ(call("fd_close", {7}), wasi::kBadFd);
  EXPECT_EQ(call("fd_seek", {1, 0, 0, 100}), wasi::kSeekPipe);
  EXPECT_EQ(call("path_open", {3}), wasi::kNoEntry);
  EXPECT_EQ(call("path_rename", {3}), wasi::kNotSupported);
  EXPECT_EQ(call("sock_send", {3}), wasi::kNotSupported);
}

TEST_F(WasiTest, ArgumentsAndEnvironment) {
  EXPECT_EQ(call("args_sizes_get", {100, 104}), wasi::kSuccess);
  EXPECT_EQ(at<std::uint32_t>(100), 2U);
  EXPECT_EQ(at<std::uint32_t>(104), 14U);
  EXPECT_EQ(call("args_get", {200, 300}), wasi::kSuccess);
  EXPECT_EQ(at<std::uint32_t>(200), 300U);
  EXPECT_EQ(at<std::uint32_t>(204), 307U);
  EXPECT_EQ(instance_->memory().view(300, 14), std::string_view("plugin\0--fast\0", 14));
  EXPECT_EQ(call("environ_get", {200, 300}), wasi::kSuccess);
  EXPECT_EQ(instance_->memory().view(300, 10), std::string_view("KEY=VALUE\0", 10));
}

TEST_F(WasiTest, ClocksAndRandom) {
  EXPECT_EQ(call("clock_time_get", {0, 1, 100}), wasi::kSuccess);
  EXPECT_NEAR(at<double>(100), 0, 1);  // the bits of a time are a tiny double
  EXPECT_GT(at<std::int64_t>(100), std::int64_t{1'700'000'000} * 1'000'000'000);
  EXPECT_EQ(call("clock_time_get", {1, 1, 100}), wasi::kSuccess);
  EXPECT_LE(at<std::int64_t>(100), monotonic_now());
  EXPECT_EQ(call("clock_time_get", {2, 1, 100}), wasi::kNotSupported);
  EXPECT_EQ(call("clock_res_get", {3, 100}), wasi::kNotSupported);
  EXPECT_EQ(call("random_get", {100, 64}), wasi::kSuccess);
  EXPECT_NE(instance_->memory().view(100, 64), std::string(64, '\0'));
  EXPECT_EQ(call("random_get", {0, 65536}), wasi::kSuccess);
  EXPECT_EQ(call("random_get", {0, (16 << 20) + 1}), wasi::kInvalid);
}

TEST_F(WasiTest, RandomBytesOfMoreThanOnePage) {
  instance_ = start(R"((module
    (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
    (memory (export "memory") 16)
    (func (export "run") (result i32) (call $random (i32.const 0) (i32.const 1048576)))))");
  EXPECT_EQ(instance_->call(*instance_->function<std::int32_t()>("run")), wasi::kSuccess);
  EXPECT_NE(instance_->memory().view(1'048'512, 64), std::string(64, '\0'));
}

// A guest that sleeps in a loop until its clock has moved far enough gets there at once.
TEST_F(WasiTest, SleepMovesTheGuestsClock) {
  limits_.timeout = std::chrono::seconds(30);
  for (const std::string name : {"wasi_snapshot_preview1", "wasi_unstable"}) {
    const bool old = name == "wasi_unstable";
    host_.slept = {};
    instance_ = start(fmt::format(R"((module
      (import "{0}" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (import "{0}" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
      (memory (export "memory") 1)
      (func $now (result i64) (drop (call $time (i32.const 1) (i64.const 0) (i32.const 512)))
        (i64.load (i32.const 512)))
      (func (export "run") (result i32) (local $end i64)
        (i64.store (i32.const 0) (i64.const 77))
        (i32.store (i32.const {1}) (i32.const 1))
        (i64.store (i32.const {2}) (i64.const 3600000000000))
        (local.set $end (i64.add (call $now) (i64.const 3600000000000)))
        (loop
          (if (call $poll (i32.const 0) (i32.const 128) (i32.const 1) (i32.const 256))
            (then unreachable))
          (br_if 0 (i64.lt_s (call $now) (local.get $end))))
        (i32.load (i32.const 256)))))",
                                  name, old ? 24 : 16, old ? 32 : 24));
    EXPECT_EQ(instance_->call(*instance_->function<std::int32_t()>("run")), 1);
    EXPECT_EQ(at<std::uint64_t>(128), 77U);
    EXPECT_EQ(at<std::uint16_t>(136), 0U);
    EXPECT_EQ(instance_->last_cost().host_calls, 3U);
    EXPECT_EQ(host_.slept, std::chrono::hours(1));
  }
  EXPECT_EQ(call("poll_oneoff", {0, 0, 0, 0}), wasi::kInvalid);
}

TEST_F(WasiTest, ExitUnwinds) {
  const auto result = run(row("proc_exit"), {137});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().reason, TrapReason::kExit);
  EXPECT_EQ(result.error().exit_code, 137);
  EXPECT_EQ(result.error().message, "exited with code 137");
}

}  // namespace
}  // namespace heddle::sandbox
