#include "http/buffer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace heddle::http {
namespace {

Slice slice_of(std::string_view text) {
  BlockRef block(Block::create(text.size()));
  std::memcpy(block->data(), text.data(), text.size());
  char* const data = block->data();
  return {std::move(block), data, text.size()};
}

TEST(Buffer, MovingMovesNoBytesAndEmptiesTheSource) {
  Buffer a;
  a.append(slice_of("hello"));
  const char* const where = a.slices()[0].data;
  Buffer b(std::move(a));
  EXPECT_TRUE(
      a.empty());  // NOLINT(bugprone-use-after-move): a moved-from Buffer is empty by contract
  EXPECT_EQ(b.slices()[0].data, where);
  Buffer c;
  c.append(slice_of("well "));
  c.append(std::move(b));
  EXPECT_EQ(c.to_string(), "well hello");
  EXPECT_TRUE(b.empty());  // NOLINT(bugprone-use-after-move): the same
}

TEST(Buffer, AppendingNeverWritesIntoASharedBlock) {
  Buffer a;
  a.append("abc");
  Buffer b;
  b.append(a.slices()[0]);
  b.append("-b");
  a.append("-a");
  EXPECT_EQ(a.to_string(), "abc-a");
  EXPECT_EQ(b.to_string(), "abc-b");
}

TEST(Buffer, NeighbouringSlicesJoin) {
  const Slice whole = slice_of("abcdef");
  Buffer buffer;
  buffer.append(Slice{whole.block, whole.data, 3});
  buffer.append(Slice{whole.block, whole.data + 3, 3});
  EXPECT_EQ(buffer.slices().size(), 1U);
  EXPECT_EQ(buffer.to_string(), "abcdef");
}

TEST(Buffer, LongTextTakesSeveralBlocks) {
  const std::string text(200'000, 'x');
  Buffer buffer;
  buffer.append("y");
  buffer.append(text);
  EXPECT_EQ(buffer.to_string(), "y" + text);
}

TEST(Buffer, BehavesLikeAStringUnderRandomEdits) {
  std::mt19937 random(3);
  Buffer buffer;
  std::string model;
  for (int i = 0; i < 20'000; ++i) {
    const std::string text(random() % 9, static_cast<char>('a' + random() % 26));
    const std::size_t at = random() % (model.size() + 4);
    const std::size_t count = random() % 12;
    const std::size_t start = std::min(at, model.size());
    switch (random() % 6) {
      case 0:
        buffer.append(text);
        model += text;
        break;
      case 1:
        if (!text.empty()) buffer.append(slice_of(text));
        model += text;
        break;
      case 2:
        buffer.prepend(text);
        model.insert(0, text);
        break;
      case 3:
        buffer.drain(count);
        model.erase(0, count);
        break;
      case 4:
        buffer.replace(at, count, text);
        model.replace(start, count, text);
        break;
      default: {
        Buffer front = buffer.split(at);
        ASSERT_EQ(front.to_string(), model.substr(0, at));
        front.append(std::move(buffer));
        buffer = std::move(front);
      }
    }
    ASSERT_EQ(buffer.size(), model.size());
    ASSERT_EQ(buffer.to_string(), model);
    char out[8];
    const std::size_t got = buffer.copy_to(at, sizeof out, out);
    ASSERT_EQ(std::string(out, got), model.substr(std::min(at, model.size()), sizeof out));
    if (model.size() > 400) {
      buffer.clear();
      model.clear();
    }
  }
}

}  // namespace
}  // namespace heddle::http
