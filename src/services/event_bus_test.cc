// Events: who hears of which, in what order, and what happens when somebody is slow or gone.
#include "services/event_bus.h"

#include <gtest/gtest.h>

#include <thread>

#include "services/crypto.h"
#include "services/test_support.h"

namespace heddle::services {
namespace {

class EventBusTest : public testing::Test {
 protected:
  auto listen(std::string plugin, std::vector<std::string> names) {
    return bus_.subscribe(worker_.worker, std::move(plugin), std::move(names),
                          [this](const PluginEvent& event) {
                            heard_ += event.plugin + "/" + event.name + "=" + event.payload + " ";
                          });
  }
  std::string heard() {
    std::string out;
    worker_.on_worker([&] { out = std::exchange(heard_, ""); });
    return out;
  }

  metrics::Registry registry_;
  EventBus bus_{{.max_payload_bytes = 10, .max_queued = 3, .max_per_second = 100}, registry_};
  TestWorker worker_;
  std::string heard_;
};

TEST_F(EventBusTest, WhoHearsWhat) {
  auto orders = listen("a", {"order.*", "exact"});
  EXPECT_EQ(bus_.emit("b", "order.created", "1"), 1U);
  EXPECT_EQ(bus_.emit("b", "orders", "2"), 0U);
  EXPECT_EQ(bus_.emit("b", "exact", "3"), 1U);
  EXPECT_EQ(bus_.emit("a", "exact", "own"), 0U);
  EXPECT_EQ(heard(), "b/order.created=1 b/exact=3 ");
  auto everything = listen("", {});
  EXPECT_EQ(bus_.emit("a", "exact", "4"), 1U);
  EXPECT_EQ(heard(), "a/exact=4 ");
  worker_.on_worker([&] {
    orders.reset();
    everything.reset();
  });
  EXPECT_EQ(bus_.emit("b", "exact", "5"), 0U);
}

TEST_F(EventBusTest, ASlowSubscriberLosesEventsAndOnlyThose) {
  auto slow = listen("", {});
  std::promise<void> go;
  worker_.worker.post([&] { go.get_future().wait(); });
  for (int i = 0; i < 5; ++i) (void)bus_.emit("a", "e", std::to_string(i));
  go.set_value();
  EXPECT_EQ(heard(), "a/e=0 a/e=1 a/e=2 ");
  EXPECT_EQ(slow->dropped(), 2U);
  EXPECT_EQ(bus_.emit("a", "e", "6"), 1U);
  EXPECT_EQ(heard(), "a/e=6 ");
  worker_.on_worker([&] { slow.reset(); });
}

TEST_F(EventBusTest, Limits) {
  EXPECT_EQ(bus_.emit("a", "", "").error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(bus_.emit("a", "a\nb", "").error().kind, ErrorKind::kInvalidArgument);
  EXPECT_EQ(bus_.emit("a", "a", std::string(11, 'x')).error().kind, ErrorKind::kLimit);
  EXPECT_EQ(bus_.emit("a", std::string(300, 'x'), "").error().kind, ErrorKind::kLimit);
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(bus_.emit("a", "a", ""));
  EXPECT_EQ(bus_.emit("a", "a", "").error().kind, ErrorKind::kLimit);
  EXPECT_TRUE(bus_.emit("b", "a", ""));
}

TEST_F(EventBusTest, ASubscriptionMayEndInItsHandler) {
  std::unique_ptr<EventBus::Subscription> own;
  int count = 0;
  own = bus_.subscribe(worker_.worker, "", {}, [&](const PluginEvent&) {
    ++count;
    own.reset();
  });
  std::promise<void> go;
  worker_.worker.post([&] { go.get_future().wait(); });
  (void)bus_.emit("a", "e", "");
  (void)bus_.emit("a", "e", "");
  go.set_value();
  heard();
  EXPECT_EQ(count, 1);
}

TEST_F(EventBusTest, WhoPausesHearsTheRestLater) {
  auto one = listen("a", {});
  worker_.on_worker([&] { one->pause(); });
  for (const char* payload : {"1", "2"}) (void)bus_.emit("b", "e", payload);
  EXPECT_EQ(heard(), "");
  EXPECT_EQ(one->unfinished(), 3U);
  worker_.on_worker([&] { one->resume(); });
  EXPECT_EQ(heard(), "b/e=1 b/e=2 ");
  EXPECT_EQ(one->unfinished(), 0U);
  one->leave();
  EXPECT_EQ(bus_.emit("b", "e", "3"), 0U);
  worker_.on_worker([&] { one.reset(); });
}

TEST_F(EventBusTest, ASuccessorHearsWhatWaitsOnceTheFormerIsReady) {
  auto first = listen("a", {});
  worker_.on_worker([&] { first->pause(); });
  (void)bus_.emit("b", "e", "1");
  (void)bus_.emit("b", "other", "2");
  auto second = listen("a", {"e"});
  auto third = listen("a", {"e"});
  EXPECT_EQ(bus_.emit("b", "e", "3"), 1U);
  EXPECT_EQ(heard(), "");
  EXPECT_EQ(first->unfinished(), 1U);
  worker_.on_worker([&] { second.reset(); });
  EXPECT_EQ(heard(), "");
  worker_.on_worker([&] { first->resume(); });
  EXPECT_EQ(heard(), "b/e=1 b/e=3 ");
  worker_.on_worker([&] {
    first.reset();
    third.reset();
  });
}

TEST_F(EventBusTest, ASuccessorIsFreeWhenTheFormerEnds) {
  auto first = listen("a", {});
  worker_.on_worker([&] { first->pause(); });
  auto second = listen("a", {});
  (void)bus_.emit("b", "e", "1");
  EXPECT_EQ(heard(), "");
  worker_.on_worker([&] { first.reset(); });
  worker_.on_worker([] {});
  EXPECT_EQ(heard(), "b/e=1 ");
  worker_.on_worker([&] { second.reset(); });
}

TEST(Crypto, KnownAnswers) {
  EXPECT_EQ(hex_of(crypto_hash(HashAlgorithm::kSha256, "abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_of(crypto_hash(HashAlgorithm::kSha512, "")).substr(0, 16), "cf83e1357eefb8bd");
  // RFC 4231, test case 2.
  EXPECT_EQ(hex_of(crypto_hmac(HashAlgorithm::kSha256, "Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_EQ(hash_algorithm(1), HashAlgorithm::kSha512);
  EXPECT_EQ(hash_algorithm(2), std::nullopt);
  EXPECT_EQ(crypto_random(32)->size(), 32U);
  EXPECT_NE(*crypto_random(32), *crypto_random(32));
  EXPECT_EQ(crypto_random(kMaxRandomBytes + 1).error().kind, ErrorKind::kLimit);
}

TEST(Crypto, Base64) {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "\xff\xfe\xfd"}) {
    EXPECT_EQ(from_base64(base64_of(text)), text);
    EXPECT_EQ(from_base64url(base64url_of(text)), text);
  }
  EXPECT_EQ(base64_of("f"), "Zg==");
  EXPECT_EQ(base64url_of("\xff\xfe"), "__4");
  for (const char* bad : {"Zg=", "Zg", "Zh==", "Z===", "Zg==Zg==", "Z g=", "====", "Zm9v\n"}) {
    EXPECT_EQ(from_base64(bad), std::nullopt) << bad;
  }
  EXPECT_EQ(from_base64url("Zg=="), std::nullopt);
  EXPECT_EQ(from_base64url("Z"), std::nullopt);
}

}  // namespace
}  // namespace heddle::services
