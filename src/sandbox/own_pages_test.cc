#include "sandbox/own_pages.h"

#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

constexpr std::size_t kPage = 65'536;
constexpr std::string_view kOnePage = R"((module (memory (export "memory") 1)
  (func (export "grow") (drop (memory.grow (i32.const 1))))))";

class OwnPagesTest : public SandboxTest {
 protected:
  OwnPages pages_;
};

TEST_F(OwnPagesTest, ComesBehindTheGuestsMemoryInPiecesBehindEachOther) {
  const auto instance = start(kOnePage);
  EXPECT_EQ(pages_.room(*instance, 10), kPage);
  EXPECT_EQ(pages_.room(*instance, 17), kPage + 16);
  EXPECT_EQ(pages_.room(*instance, 1), kPage + 48);
  EXPECT_EQ(instance->memory_bytes(), 2 * kPage);
}

TEST_F(OwnPagesTest, AreUsedAgain) {
  const auto instance = start(kOnePage);
  for (int i = 0; i < 3; ++i) {
    pages_.forget();
    EXPECT_EQ(pages_.room(*instance, kPage), kPage);
  }
  EXPECT_EQ(instance->memory_bytes(), 2 * kPage);
}

TEST_F(OwnPagesTest, GoOnWhereTheyEnd) {
  const auto instance = start(kOnePage);
  EXPECT_EQ(pages_.room(*instance, 16), kPage);
  EXPECT_EQ(pages_.room(*instance, kPage), kPage + 16);
  EXPECT_EQ(instance->memory_bytes(), 3 * kPage);
}

TEST_F(OwnPagesTest, BeginAnewBehindPagesThatTheGuestAdded) {
  const auto instance = start(kOnePage);
  EXPECT_EQ(pages_.room(*instance, 16), kPage);
  ASSERT_TRUE(instance->call(*instance->function<void()>("grow")).has_value());
  EXPECT_EQ(pages_.room(*instance, kPage), 3 * kPage);
}

TEST_F(OwnPagesTest, AreNeverAtAddressZero) {
  const auto instance = start(R"((module (memory (export "memory") 0)))");
  EXPECT_EQ(pages_.room(*instance, 0), 16U);
  EXPECT_EQ(pages_.room(*instance, kPage - 16), 16U);
  EXPECT_EQ(instance->memory_bytes(), kPage);
}

TEST_F(OwnPagesTest, StayWithinTheLimitOfMemory) {
  limits_.memory = 2 * kPage;
  const auto instance = start(kOnePage);
  EXPECT_EQ(pages_.room(*instance, kPage + 1), std::nullopt);
  EXPECT_EQ(pages_.room(*instance, kPage), kPage);
}

}  // namespace
}  // namespace heddle::sandbox
