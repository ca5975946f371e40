// Calls of whole guests: how they end, what they may ask of the host, and their limits.
#include <algorithm>
#include <array>

#include "contracts/json_rpc/line_cutter.h"
#include "contracts/json_rpc/test_support.h"

namespace heddle::json_rpc {
namespace {

std::string shown(const extension::RpcOutcome& outcome) {
  if (outcome.ok) return outcome.result;
  const std::string_view data = outcome.error.data;
  const std::size_t at = data.find(R"("cause":")");
  const std::string_view cause =
      at == std::string_view::npos ? data : data.substr(at + 9, data.find('"', at + 9) - at - 9);
  return fmt::format("{} {}", outcome.error.code, cause);
}

struct End {
  std::string name;
  Guest guest;
  std::string outcome;
};

class EndTest : public RpcTest, public testing::WithParamInterface<End> {};

TEST_P(EndTest, GivesTheRightAnswer) {
  spec_.cpu_limit = std::chrono::milliseconds(100);
  spec_.body_limit = 1'000;
  EXPECT_EQ(shown(run(GetParam().guest)), GetParam().outcome);
}

const std::string kError =
    R"({"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no","data":{"cause":"x"}}})";

INSTANTIATE_TEST_SUITE_P(
    Rows, EndTest,
    testing::Values(
        End{"Answer", Guest().answer("{\"a\":1}"), R"({"a":1})"},
        End{"AnswerAfterReading", Guest().read().answer("1"), "1"},
        End{"AnswerWithoutNewline", Guest().print(R"({"jsonrpc":"2.0","id":0,"result":2})"), "2"},
        End{"Error", Guest().print(kError), "-32601 x"},
        End{"AnswerThenReadingToTheEnd", Guest().answer("3").read_all(), "3"},
        End{"AnswerThenExit1", Guest().answer("4").exit(1), "4"},
        End{"AnswerThenTrap", Guest().answer("5").trap(), "5"},
        End{"AnswerThenEndlessLoop", Guest().answer("6").spin(), "6"},
        End{"NothingAtAll", Guest(), "-32603 no_answer"},
        End{"Exit0", Guest().exit(0), "-32603 no_answer"},
        End{"Exit3", Guest().read().exit(3), "-32603 no_answer"},
        End{"Trap", Guest().read().trap(), "-32603 unreachable"},
        End{"EndlessLoop", Guest().spin(), "-32005 cpu_limit"},
        End{"Print", Guest().print("hello\n").answer("1"), "-32700 not_json"},
        End{"Binary", Guest().print("\xff\xfe\n").answer("1"), "-32700 not_utf8"},
        End{"WrongId", Guest().print(R"({"jsonrpc":"2.0","id":9,"result":2})"), "-32603 wrong_id"},
        End{"LongLine", Guest().print("\"" + std::string(2'000, 'x') + "\"\n").answer("1"),
            "-32005 line_too_long"},
        End{"TwoAnswers", Guest().answer("1").answer("2"), "1"}),
    [](const auto& info) { return info.param.name; });

class CallTest : public RpcTest {};

TEST_F(CallTest, TheGuestReadsTheRequest) {
  EXPECT_TRUE(run(Guest().read().answer("1"), "{\"a\":\n[1]}").ok);
  EXPECT_EQ(listener_.log,
            "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"run\",\"params\":{\"a\": [1]}}\n");
}

TEST_F(CallTest, AHostMethodAnswersAtOnce) {
  methods_.add("echo", [](const HostRequest& /*request*/, HostMethods::Reply reply) {
    reply(success("\"hi\""));
    return nullptr;
  });
  EXPECT_TRUE(run(Guest().read().ask("echo", 7).read().answer("1")).ok);
  EXPECT_TRUE(listener_.log.ends_with("{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":\"hi\"}\n"));
}

TEST_F(CallTest, AHostMethodAnswersLater) {
  methods_.add("slow", [](const HostRequest& request, HostMethods::Reply reply) {
    request.worker.post([reply = std::move(reply)]() mutable { reply(success("8")); });
    return nullptr;
  });
  EXPECT_TRUE(run(Guest().read().ask("slow").read().answer("1")).ok);
  EXPECT_TRUE(listener_.log.ends_with("\"id\":0,\"result\":8}\n"));
}

TEST_F(CallTest, AnUnknownHostMethodIsAnErrorForTheGuest) {
  EXPECT_TRUE(run(Guest().read().ask("nothing").read().answer("1")).ok);
  EXPECT_NE(listener_.log.find("\"code\":-32601"), std::string::npos);
  EXPECT_NE(listener_.log.find("method_not_found"), std::string::npos);
}

TEST_F(CallTest, AHostMethodThatNeverReturnsMeetsTheTimeout) {
  add_waiting("never");
  spec_.timeout = std::chrono::milliseconds(50);
  EXPECT_EQ(shown(run(Guest().read().ask("never").read().answer("1"))), "-32005 timeout");
  worker_.on_worker([&] { waiting_.front()(success("1")); });  // too late, and harmless
}

TEST_F(CallTest, NotificationsReachTheCaller) {
  EXPECT_TRUE(run(Guest()
                      .print("{\"jsonrpc\":\"2.0\",\"method\":\"progress\",\"params\":[5]}\n")
                      .answer("1"))
                  .ok);
  EXPECT_EQ(listener_.notifications, "progress [5];");
}

TEST_F(CallTest, RequestsToTheHostAreLimited) {
  methods_.add("echo", [](const HostRequest& /*request*/, HostMethods::Reply reply) {
    reply(success("1"));
    return nullptr;
  });
  spec_.host_calls = 10;
  const Guest body = Guest().ask("echo").read();
  EXPECT_EQ(shown(run(Guest().repeat(11, body))), "-32005 host_calls");
  EXPECT_EQ(shown(run(Guest().repeat(9, body))), "-32603 no_answer");
}

TEST_F(CallTest, TwoHundredHostCalls) {
  std::size_t asked = 0;
  methods_.add("echo", [&](const HostRequest& /*request*/, HostMethods::Reply reply) {
    ++asked;
    reply(success("1"));
    return nullptr;
  });
  spec_.log_lines_per_second = 10;
  EXPECT_EQ(shown(run(Guest().repeat(200, Guest().ask("echo").read()))), "-32603 no_answer");
  EXPECT_EQ(asked, 200U);
  EXPECT_EQ(std::ranges::count(listener_.log, '\n'), 10);
  EXPECT_GT(stats_.limit_hits, 0U);
}

TEST_F(CallTest, RequestsToTheCallerAreLimitedToo) {
  listener_.answers = true;
  spec_.outbound_calls = 3;
  Guest guest;
  for (int id = 0; id < 4; ++id) guest.ask("client", id);
  EXPECT_TRUE(run(guest.read().read().answer("1")).ok);
  EXPECT_EQ(listener_.replies.size(), 3U);
  EXPECT_TRUE(listener_.log.contains("outbound_calls")) << listener_.log;
}

TEST_F(CallTest, AGuestThatAsksAndDoesNotReadIsEnded) {
  std::size_t asked = 0;
  methods_.add("big", [&](const HostRequest& /*request*/, HostMethods::Reply reply) {
    ++asked;
    reply(success("\"" + std::string(1'000, 'x') + "\""));
    return nullptr;
  });
  spec_.body_limit = 10'000;
  const Guest one = Guest().ask("big");
  EXPECT_EQ(shown(run(Guest().repeat(1'000, one).answer("1"))), "-32005 input_too_long");
  EXPECT_LT(asked, 25U);
  asked = 0;
  std::string batch;
  for (int id = 0; id < 100; ++id) {
    batch += batch.empty() ? '[' : ',';
    batch += fmt::format(R"({{"jsonrpc":"2.0","id":{},"method":"big"}})", id);
  }
  EXPECT_EQ(shown(run(Guest().print(batch + "]\n").answer("1"))), "-32005 input_too_long");
  EXPECT_LT(asked, 25U);
  EXPECT_EQ(shown(run(Guest().repeat(100, Guest(one).read()).answer("1"))), "1");
}

TEST_F(CallTest, AFloodOfShortLinesIsCountedAndDropped) {
  constexpr std::size_t kLines = 60'000;
  constexpr std::size_t kWrites = 20;
  spec_.log_lines_per_second = 10;
  const Guest flood = Guest().print(std::string(kLines, '\n'), 2);
  EXPECT_EQ(shown(run(Guest().repeat(kWrites, flood).answer("1"))), "1");
  EXPECT_EQ(stats_.limit_hits,
            kLines * kWrites - static_cast<std::size_t>(std::ranges::count(listener_.log, '\n')));
}

TEST(LineCutter, PassesOverTheLinesThatNobodyWants) {
  LineCutter cutter(10);
  std::string taken;
  const auto one = [&](std::string_view line) {
    taken += fmt::format("{};", line);
    return false;
  };
  EXPECT_EQ(cutter.feed("a\nb\nc\nd", one), 2U);
  EXPECT_EQ(cutter.feed("e\n", one), 0U);
  EXPECT_EQ(taken, "a;de;");
}

TEST_F(CallTest, LargeParamsAreRefused) {
  spec_.body_limit = 100;
  EXPECT_EQ(shown(run(Guest().answer("1"), std::string(101, ' ') + "1")), "-32005 params_limit");
}

TEST_F(CallTest, CallsWaitForTheirTurnAndAreAllAnswered) {
  spec_.max_calls = 4;
  spec_.max_queued_calls = 100;
  add_waiting("wait");
  const auto plugin = load(Guest().read().ask("wait").read().answer("1"));
  std::vector<std::future<Outcome>> futures;
  futures.reserve(104);
  for (int i = 0; i < 104; ++i) futures.push_back(begin(*plugin));
  auto refused = begin(*plugin);
  EXPECT_EQ(shown(wait(refused)), "-32005 max_queued_calls");
  for (auto& future : futures) {
    while (future.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      worker_.on_worker([&] {
        EXPECT_LE(waiting_.size(), 4U);
        for (auto& reply : waiting_) reply(success("1"));
        waiting_.clear();
      });
    }
    EXPECT_EQ(shown(future.get()), "1");
  }
  release();
  EXPECT_EQ(plugin->stats().instances, 0U);
}

TEST_F(CallTest, CallsWaitInTheirOrderForInstances) {
  instances_ = 2;
  make_engine({});
  spec_.max_queued_calls = 4;
  add_waiting("wait");
  const auto plugin = load(Guest().read().ask("wait").read().answer("1"));
  std::vector<std::future<Outcome>> futures;
  futures.reserve(6);
  for (int i = 0; i < 6; ++i) {
    futures.push_back(begin(*plugin, std::to_string(i)));
    worker_.on_worker([] {});
  }
  auto refused = begin(*plugin);
  EXPECT_EQ(shown(wait(refused)), "-32005 max_queued_calls");
  for (auto& future : futures) {
    while (future.wait_for(std::chrono::milliseconds(1)) != std::future_status::ready) {
      worker_.on_worker([&] {
        if (waiting_.empty()) return;
        waiting_.front()(success("1"));
        waiting_.erase(waiting_.begin());
      });
    }
    EXPECT_EQ(shown(future.get()), "1");
  }
  std::string order;
  for (std::size_t at = 0; (at = listener_.log.find("\"params\":", at)) != std::string::npos;) {
    at += 9;
    order += listener_.log[at];
  }
  EXPECT_EQ(order, "012345");
}

TEST_F(CallTest, ACallThatIsGivenUpLeavesNothing) {
  int asked = 0;
  methods_.add("never", [&](const HostRequest& /*request*/, HostMethods::Reply /*reply*/) {
    ++asked;
    return nullptr;
  });
  spec_.max_calls = 1;
  const auto plugin = load(Guest().read().ask("never").read().answer("1"));
  std::array<std::future<Outcome>, 2> given_up;
  for (auto& call : given_up) call = begin(*plugin);
  for (bool there = false; !there;) worker_.on_worker([&] { there = asked == 1; });
  release();
  worker_.on_worker([] {});
  EXPECT_EQ(plugin->stats().instances, 0U);
  EXPECT_EQ(asked, 1);
}

TEST_F(CallTest, TheInterpreterRunsThemToo) {
  make_engine({.strategy = sandbox::Strategy::kPulley});
  EXPECT_EQ(shown(run(Guest().read().answer("1"))), "1");
  EXPECT_EQ(shown(run(Guest().read().trap())), "-32603 unreachable");
}

TEST_F(CallTest, AModuleWithoutStartIsRefused) {
  const std::string text = "(module (func (export \"run\")))";
  auto module = engine_->compile(std::as_bytes(std::span(text)), "library");
  ASSERT_TRUE(module.has_value());
  EXPECT_FALSE(contract_->recognises(**module));
  const auto loaded = contract_->load(spec_, *module);
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("_start"), std::string::npos);
}

}  // namespace
}  // namespace heddle::json_rpc
