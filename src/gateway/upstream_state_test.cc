// What protects an upstream: circuit breaker, limit of requests, ejection, retry budget and pauses.
#include "gateway/upstream_state.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string_view>
#include <thread>
#include <vector>

#include "gateway/upstream_retry.h"
#include "http/message.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Nanoseconds kSecond = 1'000'000'000;

TEST(Circuit, OpensAfterFailuresInARowAndClosesAfterTrials) {
  const config::CircuitBreaker options{
      .failure_threshold = 3, .success_threshold = 2, .timeout = seconds(10)};
  Circuit circuit;
  const Circuit::Pass usual = circuit.admit(options, 0).value();
  EXPECT_FALSE(circuit.failed(options, usual, 0, 0.5));
  EXPECT_FALSE(circuit.failed(options, usual, 0, 0.5));
  EXPECT_FALSE(circuit.succeeded(options, usual));
  EXPECT_FALSE(circuit.failed(options, usual, 0, 0.5));
  EXPECT_FALSE(circuit.failed(options, usual, 0, 0.5));
  EXPECT_EQ(circuit.failed(options, usual, 0, 0.5), Circuit::State::kOpen);
  EXPECT_FALSE(circuit.admit(options, 9 * kSecond));
  const Circuit::Pass first = circuit.admit(options, 10 * kSecond).value();
  const Circuit::Pass second = circuit.admit(options, 10 * kSecond).value();
  EXPECT_FALSE(circuit.admit(options, 10 * kSecond)) << "two trials at most";
  EXPECT_FALSE(circuit.succeeded(options, first));
  circuit.abandoned(second);
  const Circuit::Pass third = circuit.admit(options, 11 * kSecond).value();
  EXPECT_EQ(circuit.succeeded(options, third), Circuit::State::kClosed);
  EXPECT_EQ(circuit.admit(options, 11 * kSecond).value().half_opening, 0U);
}

TEST(Circuit, ATrialThatFailsOpensAgain) {
  const config::CircuitBreaker options{
      .failure_threshold = 1, .success_threshold = 1, .timeout = seconds(10)};
  Circuit circuit;
  EXPECT_EQ(circuit.failed(options, {}, 0, 0), Circuit::State::kOpen);
  EXPECT_FALSE(circuit.admit(options, 7 * kSecond));
  const auto trial = circuit.admit(options, 8 * kSecond);
  ASSERT_TRUE(trial) << "a quarter earlier";
  EXPECT_EQ(circuit.failed(options, *trial, 8 * kSecond, 1), Circuit::State::kOpen);
  EXPECT_FALSE(circuit.admit(options, 20 * kSecond)) << "a quarter later";
  EXPECT_TRUE(circuit.admit(options, 21 * kSecond));
}

// However late it ends, and in whatever way.
TEST(Circuit, ATrialSaysNothingAboutALaterHalfOpening) {
  const config::CircuitBreaker options{
      .failure_threshold = 1, .success_threshold = 2, .timeout = seconds(10)};
  for (const std::string_view end : {"succeeded", "failed", "abandoned"}) {
    Circuit circuit;
    EXPECT_EQ(circuit.failed(options, {}, 0, 0.5), Circuit::State::kOpen);
    const Circuit::Pass early = circuit.admit(options, 10 * kSecond).value();
    const Circuit::Pass late = circuit.admit(options, 10 * kSecond).value();
    EXPECT_EQ(circuit.failed(options, early, 10 * kSecond, 0.5), Circuit::State::kOpen);
    const Circuit::Pass trial = circuit.admit(options, 20 * kSecond).value();
    circuit.abandoned(trial);
    if (end == "succeeded") {
      EXPECT_FALSE(circuit.succeeded(options, late));
    } else if (end == "failed") {
      EXPECT_FALSE(circuit.failed(options, late, 20 * kSecond, 0.5));
    } else {
      circuit.abandoned(late);
    }
    const auto next = circuit.admit(options, 20 * kSecond);
    const auto last = circuit.admit(options, 20 * kSecond);
    ASSERT_TRUE(next && last) << end;
    EXPECT_FALSE(circuit.admit(options, 20 * kSecond)) << end;
    EXPECT_FALSE(circuit.succeeded(options, *next)) << end;
    EXPECT_EQ(circuit.succeeded(options, *last), Circuit::State::kClosed) << end;
  }
}

TEST(RequestLimiter, ServesInOrderAndRefusesBeyondTheLine) {
  const auto log = Log::null();
  net::Worker worker(1, *log);
  const auto limiter = std::make_shared<RequestLimiter>();
  std::atomic<int> granted{0};
  std::vector<std::shared_ptr<RequestLimiter::Waiter>> waiters;
  const auto make = [&] {
    waiters.push_back(std::make_shared<RequestLimiter::Waiter>(worker, [&] { ++granted; }));
    return waiters.back();
  };
  EXPECT_EQ(limiter->enter(0, 0, make), RequestLimiter::Verdict::kGo);
  EXPECT_EQ(limiter->enter(1, 2, make), RequestLimiter::Verdict::kGo);
  EXPECT_EQ(limiter->enter(1, 2, make), RequestLimiter::Verdict::kWait);
  EXPECT_EQ(limiter->enter(1, 2, make), RequestLimiter::Verdict::kWait);
  EXPECT_EQ(limiter->enter(1, 2, make), RequestLimiter::Verdict::kFull);
  limiter->leave(waiters[0]);
  EXPECT_EQ(limiter->waiting(), 1U);
  worker.start();
  limiter->release();
  while (granted == 0) std::this_thread::yield();
  limiter->release();
  EXPECT_EQ(limiter->enter(1, 0, make), RequestLimiter::Verdict::kGo);
  worker.stop();
  worker.join();
}

TEST(RequestLimiter, NobodyIsForgottenWhenThreadsRace) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2000;
  constexpr std::uint32_t kMax = 2;
  const auto log = Log::null();
  net::Worker worker(1, *log);
  worker.start();
  const auto limiter = std::make_shared<RequestLimiter>();
  std::atomic<int> done{0};
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  const auto serve = [&] {
    const int now = ++inside;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    --inside;
    limiter->release();
    ++done;
  };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < kRounds; ++round) {
        const auto verdict = limiter->enter(kMax, 1'000'000, [&] {
          return std::make_shared<RequestLimiter::Waiter>(worker, serve);
        });
        if (verdict == RequestLimiter::Verdict::kGo) serve();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  while (done < kThreads * kRounds) std::this_thread::yield();
  EXPECT_LE(most, static_cast<int>(kMax));
  EXPECT_EQ(limiter->waiting(), 0U);
  worker.stop();
  worker.join();
}

class Ejections : public testing::Test {
 protected:
  Ejections() {
    auto set = std::make_shared<EndpointSet>();
    for (int i = 0; i < 4; ++i) {
      EndpointEntry entry;
      entry.state =
          std::make_shared<EndpointState>("api", "10.0.0." + std::to_string(i) + ":80", metrics_);
      endpoints_.push_back(entry.state);
      set->entries.push_back(std::move(entry));
    }
    state_->publish(std::move(set));
  }

  void fail(std::size_t endpoint, int times, UpstreamState::Outcome outcome) {
    for (int i = 0; i < times; ++i) state_->report(endpoints_[endpoint], outcome, options_);
  }
  bool ejected(std::size_t endpoint) { return endpoints_[endpoint]->has(EndpointState::kEjected); }

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::vector<std::chrono::nanoseconds> times_;
  config::Ejection options_{.consecutive_connect_failures = 2,
                            .consecutive_failures = 5,
                            .time = seconds(10),
                            .max_time = seconds(25),
                            .max_percent = 50};
  std::shared_ptr<UpstreamState> state_ = std::make_shared<UpstreamState>(
      "api", *log_, metrics_,
      [this](const auto& /*upstream*/, const auto& /*endpoint*/, std::chrono::nanoseconds time) {
        times_.push_back(time);
      });
  std::vector<std::shared_ptr<EndpointState>> endpoints_;
};

TEST_F(Ejections, ComeAfterFailuresInARow) {
  using Outcome = UpstreamState::Outcome;
  const std::uint32_t before = state_->generation();
  fail(0, 4, Outcome::kFailed);
  fail(0, 1, Outcome::kAnswered);
  fail(0, 4, Outcome::kFailed);
  EXPECT_FALSE(ejected(0));
  EXPECT_EQ(state_->generation(), before);
  fail(0, 1, Outcome::kFailed);
  EXPECT_TRUE(ejected(0));
  EXPECT_NE(state_->generation(), before);
  fail(1, 2, Outcome::kNoConnection);
  EXPECT_TRUE(ejected(1));
}

TEST_F(Ejections, LastLongerEachTimeUpToALimit) {
  for (int i = 0; i < 4; ++i) {
    fail(0, 2, UpstreamState::Outcome::kNoConnection);
    state_->readmit(*endpoints_[0]);
  }
  EXPECT_EQ(times_, (std::vector<std::chrono::nanoseconds>{seconds(10), seconds(20), seconds(25),
                                                           seconds(25)}));
  EXPECT_TRUE(endpoints_[0]->usable());
}

TEST_F(Ejections, NeverTakeMoreThanTheirShare) {
  for (std::size_t i = 0; i < 4; ++i) fail(i, 9, UpstreamState::Outcome::kNoConnection);
  EXPECT_TRUE(ejected(0));
  EXPECT_TRUE(ejected(1));
  EXPECT_FALSE(ejected(2));
  EXPECT_FALSE(ejected(3));
}

TEST_F(Ejections, RetriesKeepToTheirBudget) {
  config::Upstream options;
  options.retry.budget_percent = 20;
  options.retry.budget_min = 2;
  EXPECT_TRUE(state_->begin_retry(options));
  EXPECT_TRUE(state_->begin_retry(options));
  EXPECT_FALSE(state_->begin_retry(options));
  state_->counters().active->add(20);
  EXPECT_TRUE(state_->begin_retry(options));
  EXPECT_TRUE(state_->begin_retry(options));
  EXPECT_FALSE(state_->begin_retry(options)) << "a fifth of 20";
  options.circuit_breaker.max_retries = 4;
  state_->retry_ended();
  EXPECT_TRUE(state_->begin_retry(options));
  options.circuit_breaker.max_retries = 3;
  state_->retry_ended();
  EXPECT_FALSE(state_->begin_retry(options));
}

http::HeadPtr head(std::initializer_list<http::HeaderMap::Entry> headers) {
  http::HeadPtr out = http::make_head();
  for (const auto& [name, value] : headers) out->headers.add(name, value);
  return out;
}

TEST(RetryPolicy, ADangerousMethodIsOnlySentAgainWhenNothingWasSent) {
  using Reason = RetryPolicy::Reason;
  const RetryPolicy policy(config::Retry{.max_retries = 1});
  const auto get = head({{":method", "GET"}});
  const auto post = head({{":method", "POST"}});
  EXPECT_TRUE(policy.allows(Reason::kReset, get->headers));
  EXPECT_TRUE(policy.allows(Reason::kConnectFailure, post->headers));
  EXPECT_FALSE(policy.allows(Reason::kReset, post->headers));
  EXPECT_FALSE(policy.allows(Reason::kStatus, post->headers));
  const RetryPolicy daring(config::Retry{.max_retries = 1, .non_idempotent = true});
  EXPECT_TRUE(daring.allows(Reason::kStatus, post->headers));
  const RetryPolicy narrow(config::Retry{.max_retries = 1, .on = {"connect_failure"}});
  EXPECT_FALSE(narrow.allows(Reason::kReset, get->headers));
  const RetryPolicy grpc(config::Retry{.max_retries = 1, .retryable_grpc_codes = {"14"}});
  const auto call = head({{":method", "POST"}, {"content-type", "application/grpc+proto"}});
  EXPECT_TRUE(grpc.allows(Reason::kStatus, call->headers));
  EXPECT_FALSE(grpc.allows(Reason::kStatus, post->headers));
}

TEST(RetryPolicy, KnowsStatusesAndCodes) {
  const RetryPolicy policy(config::Retry{
      .max_retries = 1, .retryable_codes = {"429", "502-504"}, .retryable_grpc_codes = {"14"}});
  const auto retryable = [&](std::string_view status, bool end = false) {
    return policy.is_retryable(*head({{":status", status}, {"grpc-status", "14"}}), end);
  };
  EXPECT_TRUE(retryable("429"));
  EXPECT_TRUE(retryable("503"));
  EXPECT_FALSE(retryable("500"));
  EXPECT_FALSE(retryable("200"));
  EXPECT_TRUE(retryable("200", true)) << "an answer of trailers only";
}

TEST(RetryPolicy, PausesDoubleUpToALimit) {
  const RetryPolicy policy(config::Retry{
      .max_retries = 9, .backoff_base = milliseconds(100), .backoff_max = milliseconds(350)});
  EXPECT_EQ(policy.pause(1, 1), milliseconds(100));
  EXPECT_EQ(policy.pause(2, 1), milliseconds(200));
  EXPECT_EQ(policy.pause(3, 1), milliseconds(350));
  EXPECT_EQ(policy.pause(60, 1), milliseconds(350));
  EXPECT_EQ(policy.pause(2, 0.25), milliseconds(50));
}

}  // namespace
}  // namespace heddle::gateway
