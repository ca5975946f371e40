#include "contracts/native_hook/wire.h"

#include <gtest/gtest.h>

namespace heddle::native_hook {
namespace {

TEST(Wire, WhatIsCutOrTooLongIsRefused) {
  const std::string identity(32, 'k');
  const std::vector<extension::MessageEvent> batch(2);
  for (const extension::HookEvent& event : std::vector<extension::HookEvent>{
           extension::BatchEvent{batch}, extension::AuthEvent{"anna", false, "wrong"},
           extension::ChannelEvent{"c", identity, identity, true},
           extension::FetchEvent{identity, "c", 3}, extension::UserEvent{"anna", identity}}) {
    const std::string record = write_call(1, event);
    ChildCall call;
    EXPECT_TRUE(read_call(record, call).has_value());
    EXPECT_EQ(call.slot, slot_at(moment_of(event)));
    EXPECT_FALSE(read_call(record + "x", call).has_value());
    for (std::size_t size = 0; size < record.size(); ++size) {
      EXPECT_FALSE(read_call(record.substr(0, size), call).has_value()) << size;
    }
  }
}

TEST(Wire, AnUnknownSlotIsRefused) {
  std::string record = write_call(1, Slot::kDestroy);
  ChildCall call;
  EXPECT_TRUE(read_call(record, call).has_value());
  record.back() = static_cast<char>(kSlots);
  EXPECT_FALSE(read_call(record, call).has_value());
}

TEST(Wire, Answers) {
  const std::string record = write_answer(
      {.id = 7, .outcome = ChildOutcome::kRejected, .nanoseconds = 12, .text = "too long"});
  const auto answer = read_answer(record);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->id, 7U);
  EXPECT_EQ(answer->outcome, ChildOutcome::kRejected);
  EXPECT_EQ(answer->nanoseconds, 12);
  EXPECT_EQ(answer->text, "too long");
  for (std::size_t size = 0; size < record.size(); ++size) {
    EXPECT_FALSE(read_answer(record.substr(0, size)).has_value());
  }
}

}  // namespace
}  // namespace heddle::native_hook
