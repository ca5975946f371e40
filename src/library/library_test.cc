// The public API, as a program sees it: only public headers, and guests as WebAssembly text.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <future>
#include <latch>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "contracts/json_rpc/test_guest.h"
#include "heddle/host.h"

namespace heddle {
namespace {

using json_rpc::Guest;

class LibraryTest : public testing::Test {
 protected:
  void SetUp() override { make_host({}); }

  void make_host(HostOptions options) {
    options.on_log = [this](std::string_view plugin, std::string_view line) {
      const std::lock_guard lock(mutex_);
      log_ += std::string(plugin) + ": " + std::string(line) + "\n";
    };
    options.on_notification = [this](std::string_view, std::string_view method,
                                     const Json& params) {
      const std::lock_guard lock(mutex_);
      notifications_ += std::string(method) + params.dump();
    };
    auto made = Host::create(std::move(options));
    ASSERT_TRUE(made.has_value()) << made.error().message;
    host_ = std::move(*made);
  }

  Plugin load(const Guest& guest, PluginOptions options = {}) {
    const std::string text = guest.wat();
    options.name = "guest";
    auto plugin = host_->load(std::as_bytes(std::span(text)), options);
    if (!plugin) ADD_FAILURE() << plugin.error().message << "\n" << text;
    return *plugin;
  }

  // A guest that asks the host for `method` and writes what it hears to standard error.
  static Guest asker(std::string_view method) {
    return Guest().read().ask(method).read().answer("\"asked\"");
  }

  std::ptrdiff_t log_lines() {
    const std::lock_guard lock(mutex_);
    return std::ranges::count(log_, '\n');
  }

  std::optional<Host> host_;
  std::mutex mutex_;
  std::string log_;
  std::string notifications_;
};

TEST_F(LibraryTest, CallsAndAnswers) {
  const Plugin plugin = load(Guest().read().answer(R"({"a":[1,"two"]})"));
  const auto answer = plugin.call("run", Json::object({{"x", 1}}));
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ((*answer)["a"][1].text(), "two");
  EXPECT_EQ(log_,
            "guest: {\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"run\",\"params\":{\"x\":1}}\n");
  EXPECT_EQ(plugin.call_text("run", " [ 1 ] ").value_or("?"), R"({"a":[1,"two"]})");
  EXPECT_EQ(plugin.stats().calls, 2);
}

TEST_F(LibraryTest, TextParamsMustBeJson) {
  const Plugin plugin = load(Guest().answer("1"));
  for (const char* params : {"", "{", "1 2", "nul", "\xff"}) {
    const auto answer = plugin.call_text("run", params);
    ASSERT_FALSE(answer.has_value()) << params;
    EXPECT_EQ(answer.error().code, -32602) << params;
  }
  EXPECT_FALSE(plugin.call_text("run", std::string(200, '[') + std::string(200, ']')).has_value());
}

TEST_F(LibraryTest, MethodsOfEveryForm) {
  host_->add_method("now", [](const Json&) { return "at once"; });
  host_->add_method("thread", [](const Json&, const Reply& reply) {
    std::thread([reply] { reply.send(Json("later")); }).detach();
  });
  host_->add_method("coroutine", [](const Json&) -> Task<Json> { co_return Json("awaited"); });
  host_->add_method("fails", [](const Json&) -> Result<Json> {
    return fail(-32001, "not here", Json::object({{"key", "k"}}));
  });
  host_->add_method("throws",
                    [](const Json&) -> Result<Json> { throw std::runtime_error("thrown"); });
  host_->add_method("throws_later", [](const Json&) -> Task<Json> {
    throw std::runtime_error("thrown later");
    co_return Json();
  });
  host_->add_method("forgets", [](const Json&, const Reply&) {});
  const auto heard = [&](std::string_view method) {
    log_.clear();
    const auto answer = load(asker(method)).call("run");
    EXPECT_EQ(answer.value_or(Json()).text(), "asked") << method;
    return log_.substr(log_.find('\n') + 1);
  };
  EXPECT_EQ(heard("now"), "guest: {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"at once\"}\n");
  EXPECT_EQ(heard("thread"), "guest: {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"later\"}\n");
  EXPECT_EQ(heard("coroutine"), "guest: {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"awaited\"}\n");
  EXPECT_EQ(
      heard("fails"),
      "guest: {\"jsonrpc\":\"2.0\",\"id\":0,\"error\":{\"code\":-32001,\"message\":\"not here\","
      "\"data\":{\"key\":\"k\"}}}\n");
  EXPECT_TRUE(heard("throws").contains(R"("code":-32603,"message":"thrown")"));
  EXPECT_TRUE(heard("throws_later").contains("thrown later"));
  EXPECT_TRUE(heard("forgets").contains("gave no answer"));
  EXPECT_TRUE(heard("unknown").contains("-32601"));
}

TEST_F(LibraryTest, APluginHasTheMethodsOfWhenItWasLoaded) {
  host_->add_method("m", [](const Json&) { return 1; });
  const Plugin before = load(asker("m"));
  host_->add_method("m", [](const Json&) { return 2; });
  const Plugin after = load(asker("m"));
  ASSERT_TRUE(before.call("run").has_value());
  EXPECT_TRUE(log_.contains("\"result\":1"));
  ASSERT_TRUE(after.call("run").has_value());
  EXPECT_TRUE(log_.contains("\"result\":2"));
}

TEST_F(LibraryTest, AHostMethodMayCallPlugins) {
  const Plugin inner = load(Guest().answer("7"));
  host_->add_method("inner", [inner](const Json&) { return inner.call("run"); });
  host_->add_method("inner_async",
                    [inner](Json) -> Task<Json> { co_return co_await inner.call_async("run"); });
  ASSERT_TRUE(load(asker("inner")).call("run").has_value());
  EXPECT_TRUE(log_.contains("\"result\":7"));
  log_.clear();
  ASSERT_TRUE(load(asker("inner_async")).call("run").has_value());
  EXPECT_TRUE(log_.contains("\"result\":7"));
}

TEST_F(LibraryTest, ParamsThatAMethodKeepsStayWhole) {
  const std::string params = R"({"deep":[{"text":"long enough to lie in memory of its own"}]})";
  Json kept;
  Json taken;
  host_->add_method("keep", [&](const Json& given) {
    kept = given;
    taken = Json(given["deep"]);
    return given["deep"][0];
  });
  const Plugin plugin =
      load(Guest()
               .print(R"({"jsonrpc":"2.0","id":0,"method":"keep","params":)" + params + "}\n")
               .read()
               .read()
               .answer("1"));
  ASSERT_TRUE(plugin.call("run").has_value());
  EXPECT_EQ(kept.dump(), params);
  EXPECT_EQ(taken[0]["text"].text(), "long enough to lie in memory of its own");
  EXPECT_TRUE(log_.contains(R"("result":{"text":"long)")) << log_;
}

TEST_F(LibraryTest, Notifications) {
  const Plugin plugin = load(
      Guest().print("{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":[50]}\n").answer("1"));
  ASSERT_TRUE(plugin.call("run").has_value());
  EXPECT_EQ(notifications_, "progress[50]");
}

struct Bad {
  std::string name;
  Guest guest;
  ErrorKind kind;
  int code;
  std::string cause;
};

class BadGuestTest : public LibraryTest, public testing::WithParamInterface<Bad> {};

TEST_P(BadGuestTest, IsAnErrorOfTheCallOnly) {
  // A machine under load takes its time to compute for 50 ms.
  const std::chrono::milliseconds timeout(GetParam().cause == "timeout" ? 300 : 30'000);
  const Plugin plugin =
      load(GetParam().guest, {.timeout = timeout, .cpu_limit = std::chrono::milliseconds(50)});
  const auto answer = plugin.call("run");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().kind, GetParam().kind);
  EXPECT_EQ(answer.error().code, GetParam().code);
  EXPECT_EQ(answer.error().cause, GetParam().cause);
  EXPECT_FALSE(answer.error().message.empty());
  EXPECT_EQ(load(Guest().answer("1")).call("run").value_or(Json()), Json(1));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, BadGuestTest,
    testing::Values(
        Bad{"Trap", Guest().trap(), ErrorKind::kPlugin, -32603, "unreachable"},
        Bad{"Loop", Guest().spin(), ErrorKind::kLimit, -32005, "cpu_limit"},
        Bad{"Silent", Guest().read_all(), ErrorKind::kLimit, -32005, "timeout"},
        Bad{"NoAnswer", Guest(), ErrorKind::kPlugin, -32603, "no_answer"},
        Bad{"Print", Guest().print("hi\n"), ErrorKind::kPlugin, -32700, "not_json"},
        Bad{"ItsOwnError",
            Guest().print(R"({"jsonrpc":"2.0","id":0,"error":{"code":-5,"message":"mine"}})"),
            ErrorKind::kPlugin, -5, "plugin_error"},
        Bad{"ItsOwnErrorLikeALimit",
            Guest().print(
                R"({"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"m","data":{"cause":"timeout"}}})"),
            ErrorKind::kPlugin, -32005, "plugin_error"},
        Bad{"NoSuchMethod",
            Guest().print(R"({"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}})"),
            ErrorKind::kNotFound, -32601, "plugin_error"}),
    [](const auto& info) { return info.param.name; });

TEST_F(LibraryTest, ALimitOfTimeMayBeAsLongAsItLikes) {
  constexpr auto kForEver = std::chrono::milliseconds::max();
  const Plugin plugin =
      load(Guest().read().answer("1"), {.timeout = kForEver, .cpu_limit = kForEver});
  EXPECT_EQ(plugin.call("run").value_or(Json()), Json(1));
  const auto negative = host_->load({}, {.timeout = std::chrono::milliseconds(-1)});
  EXPECT_TRUE(negative.error().message.contains("negative"));
}

TEST_F(LibraryTest, ACallMayHaveNobodyToTell) {
  const Plugin plugin = load(Guest().read().answer("1"));
  plugin.call("run", {}, nullptr);
  while (log_lines() == 0) std::this_thread::yield();
  EXPECT_EQ(plugin.call("run").value_or(Json()), Json(1));
}

TEST_F(LibraryTest, JsonThatIsNestedTooDeepIsRefused) {
  const auto nested = [](int levels) {
    Json out;
    for (int i = 0; i < levels; ++i) out = std::move(Json::array().push_back(std::move(out)));
    return out;
  };
  host_->add_method("deep", [&](const Json&) { return nested(10'000); });
  const Plugin plugin = load(asker("deep"));
  EXPECT_TRUE(plugin.call("run", nested(64)).has_value());
  EXPECT_TRUE(log_.contains("64 levels")) << log_;
  EXPECT_EQ(plugin.call("run", nested(65)).error().code, -32602);
  EXPECT_EQ(plugin.call("run", nested(10'000)).error().cause, "params");
  EXPECT_EQ(plugin.open_session()->call("run", nested(10'000)).error().cause, "params");
  std::optional<Error> error;
  plugin.call("run", nested(10'000), [&](Result<Json> answer) { error = answer.error(); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->cause, "params");
}

TEST_F(LibraryTest, SessionsThatCallEachOtherDoNotWaitForThemselves) {
  std::optional<Session> first;
  std::optional<Session> second;
  std::optional<Plugin> between;
  host_->add_method("first", [&](const Json&) { return first->call("run"); });
  host_->add_method("second", [&](const Json&) { return second->call("run"); });
  host_->add_method("between", [&](const Json&) { return between->call("run"); });
  const auto session = [&](std::string_view asks) { return *load(asker(asks)).open_session(); };
  first = session("second");
  second = session("first");
  EXPECT_TRUE(first->call("run").has_value());
  EXPECT_TRUE(log_.contains("session_busy")) << log_;
  log_.clear();
  first = session("between");
  between = load(asker("first"));
  EXPECT_TRUE(first->call("run").has_value());
  EXPECT_TRUE(log_.contains("session_busy")) << log_;
}

TEST_F(LibraryTest, ASessionThatWritesTooMuchAfterItsAnswerIsOver) {
  const Guest guest = Guest().read().answer("1").print(std::string(500, '\n')).read().answer("2");
  const auto session = load(guest, {.output_limit = 200}).open_session();
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(session->call("run").has_value());
  EXPECT_FALSE(session->alive());
  EXPECT_EQ(session->call("run").error().cause, "session_over");
}

TEST_F(LibraryTest, WhatCannotBeLoadedSaysWhy) {
  const auto error_of = [&](std::string_view module) {
    const auto plugin = host_->load(std::as_bytes(std::span(module)), {.name = "bad"});
    return plugin ? Error{} : plugin.error();
  };
  EXPECT_EQ(error_of("").kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(error_of("not wasm").kind, ErrorKind::kInvalidArgument);
  EXPECT_TRUE(error_of("(module)").message.contains("_start"));
  EXPECT_TRUE(error_of(R"((module (import "env" "f" (func)) (func (export "_start"))))")
                  .message.contains("env.f"));
  EXPECT_EQ(error_of(R"((module (memory 2000) (func (export "_start"))))").kind, ErrorKind::kLimit);
  EXPECT_EQ(host_->load_file("/nowhere/x.wasm").error().kind, ErrorKind::kNotFound);
  EXPECT_EQ(host_->load({}, {.timeout = std::chrono::milliseconds(0)}).error().kind,
            ErrorKind::kInvalidArgument);
  EXPECT_FALSE(Host::create({.max_instances = 0}).has_value());
  EXPECT_FALSE(Host::create({.threads = 1'000}).has_value());
}

TEST_F(LibraryTest, ManyThreadsCallAtOnce) {
  const Plugin plugin = load(Guest().read().answer("1"), {.max_calls = 3});
  std::atomic<int> answered = 0;
  std::vector<std::jthread> threads;
  threads.reserve(16);
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 50; ++n) answered += plugin.call("run").has_value() ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(answered, 16 * 50);
  EXPECT_EQ(plugin.stats().instances, 0);
}

TEST_F(LibraryTest, AThousandCallsWaitWhileTheirHostMethodsDo) {
  make_host({.max_instances = 200, .threads = 2});
  std::mutex mutex;
  std::vector<Reply> waiting;
  host_->add_method("wait", [&](const Json&, const Reply& reply) {
    const std::lock_guard lock(mutex);
    waiting.push_back(reply);
  });
  const Plugin plugin = load(Guest().read().ask("wait").read().answer("1"), {.max_calls = 200});
  std::latch answered(1'000);
  std::atomic<int> good = 0;
  for (int i = 0; i < 1'000; ++i) {
    plugin.call("run", Json(i), [&](const Result<Json>& answer) {
      good += answer.has_value() ? 1 : 0;
      answered.count_down();
    });
  }
  while (!answered.try_wait()) {
    std::vector<Reply> now;
    {
      const std::lock_guard lock(mutex);
      now.swap(waiting);
    }
    for (const Reply& reply : now) reply.send(Json());
    std::this_thread::yield();
  }
  EXPECT_EQ(good, 1'000);
}

TEST_F(LibraryTest, TheQueueIsBounded) {
  std::vector<Reply> kept;
  host_->add_method("never", [&](const Json&, const Reply& reply) { kept.push_back(reply); });
  const Plugin plugin =
      load(Guest().read().ask("never").read().answer("1"), {.max_calls = 1, .max_queued_calls = 1});
  std::promise<Error> first;
  std::promise<Error> second;
  const PendingCall running =
      plugin.call("run", {}, [&](Result<Json> answer) { first.set_value(answer.error()); });
  const PendingCall queued =
      plugin.call("run", {}, [&](Result<Json> answer) { second.set_value(answer.error()); });
  EXPECT_EQ(plugin.call("run").error().cause, "max_queued_calls");
  EXPECT_EQ(plugin.stats().queued, 1);
  queued.cancel();
  EXPECT_EQ(second.get_future().get().cause, "cancelled");
  running.cancel();
  EXPECT_EQ(first.get_future().get().cause, "cancelled");
}

TEST_F(LibraryTest, ACallFromAHostMethodDoesNotWaitForItself) {
  std::optional<Plugin> plugin;
  host_->add_method("again", [&](const Json&) { return plugin->call("run"); });
  plugin = load(asker("again"), {.max_calls = 1});
  ASSERT_TRUE(plugin->call("run").has_value());
  EXPECT_TRUE(log_.contains("max_calls")) << log_;
}

TEST_F(LibraryTest, CallsOutliveTheirHandles) {
  std::promise<Result<Json>> promise;
  {
    host_->add_method("slow", [](const Json&, const Reply& reply) {
      std::thread([reply] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        reply.send(Json("done"));
      }).detach();
    });
    load(Guest().read().ask("slow").read().answer("5")).call("run", {}, [&](Result<Json> answer) {
      promise.set_value(std::move(answer));
    });
    host_.reset();
  }
  EXPECT_EQ(promise.get_future().get().value_or(Json()), Json(5));
}

TEST_F(LibraryTest, ASessionKeepsItsGuest) {
  // Counts in memory, and answers request after request.
  const Plugin plugin = load(Guest::counter());
  auto session = plugin.open_session();
  ASSERT_TRUE(session.has_value()) << session.error().message;
  for (int i = 0; i < 10; ++i) {
    const auto answer = session->call("next");
    ASSERT_TRUE(answer.has_value()) << answer.error().message;
    EXPECT_EQ(answer->integer(), i);
  }
  EXPECT_TRUE(session->alive());
  EXPECT_EQ(plugin.call("next").value_or(Json()), Json(0));
  std::atomic<int> good = 0;
  std::vector<std::jthread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) good += session->call("next").has_value() ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(good, 200);
  EXPECT_EQ(session->call("next").value_or(Json()).integer(), 210);
}

TEST_F(LibraryTest, ASessionWhoseGuestEndedSaysSo) {
  auto session = load(Guest().read().answer("1")).open_session();
  ASSERT_TRUE(session.has_value());
  EXPECT_TRUE(session->call("run").has_value());
  EXPECT_EQ(session->call("run").error().cause, "session_over");
  EXPECT_FALSE(session->alive());
  auto trapping = load(Guest().read().trap()).open_session();
  EXPECT_EQ(trapping->call("run").error().cause, "unreachable");
  EXPECT_EQ(trapping->call("run").error().cause, "session_over");
}

TEST_F(LibraryTest, LimitsOfASessionCountForEachCall) {
  auto session = load(Guest::counter(), {.output_limit = 100}).open_session();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(session->call("next").has_value()) << i;
}

TEST(JsonTest, NumbersThatJsonLacks) {
  EXPECT_EQ(Json(std::numeric_limits<double>::infinity()).dump(), "null");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json::parse("[-1e400]").value_or(Json()).dump(), "[-1.7976931348623157e+308]");
}

TEST(JsonTest, ReadsAndWrites) {
  Json value = Json::object({{"a", 1}, {"b", Json::array({true, nullptr, 1.5, "x"})}});
  EXPECT_EQ(value.dump(), R"({"a":1,"b":[true,null,1.5,"x"]})");
  EXPECT_EQ(Json::parse(value.dump()).value_or(Json()), value);
  EXPECT_EQ(value["b"][3].text(), "x");
  EXPECT_TRUE(value["none"]["deeper"][7].is_null());
  EXPECT_EQ(value["a"].integer(), 1);
  EXPECT_EQ(value["a"].number(), 1.0);
  EXPECT_EQ(value["b"].integer(), std::nullopt);
  value.set("c", Json()).set("a", "now text");
  value.set("d", Json().push_back(1).push_back(2));
  EXPECT_EQ(value.keys(), (std::vector<std::string_view>{"a", "b", "c", "d"}));
  EXPECT_EQ(value["d"].size(), 2);
  EXPECT_EQ(Json(18'446'744'073'709'551'615U).dump(), "18446744073709551615");
  for (const char* bad : {"", "{", "[1,]", "1 1", "\"\xff\"", "nope"}) {
    EXPECT_FALSE(Json::parse(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace heddle
