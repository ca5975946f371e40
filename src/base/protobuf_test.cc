#include "base/protobuf.h"

#include <gtest/gtest.h>

namespace heddle::protobuf {
namespace {

using namespace std::string_literals;

TEST(Protobuf, WhatIsWrittenIsRead) {
  std::string out;
  write_bytes(out, 1, "name");
  write_varint(out, 2, 300);
  write_varint(out, 3, 0);
  write_bytes(out, 4, "");
  write_varint(out, 5, UINT64_MAX);
  Reader reader(out);
  const auto name = reader.next();
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->number, 1U);
  EXPECT_EQ(name->type, WireType::kBytes);
  EXPECT_EQ(name->bytes, "name");
  EXPECT_EQ(reader.next()->number_value, 300U);
  EXPECT_EQ(reader.next()->number_value, UINT64_MAX) << "defaults are not written";
  EXPECT_FALSE(reader.next().has_value());
  EXPECT_TRUE(reader.ok());
}

TEST(Protobuf, FixedNumbers) {
  const std::string bytes = "\x09\x01\x00\x00\x00\x00\x00\x00\x80\x15\x02\x00\x00\x00"s;
  Reader reader(bytes);
  EXPECT_EQ(reader.next()->number_value, 0x8000000000000001U);
  const auto second = reader.next();
  EXPECT_EQ(second->number, 2U);
  EXPECT_EQ(second->number_value, 2U);
  EXPECT_EQ(second->varint_or(7), 7U) << "a field of another type counts as absent";
}

TEST(Protobuf, NoMessage) {
  for (const std::string& bytes : {
           "\x0a"s,  // no length
           "\x0a\x05"
           "abcd"s,                                              // shorter than its length
           "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,      // a length of 2^64-1
           "\x08"s,                                              // no number
           "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s,  // a number of 11 bytes
           "\x09\x01"s,                                          // fixed64, cut
           "\x0d\x01"s,                                          // fixed32, cut
           "\x00\x01"s,                                          // field 0
           "\x0b\x0c"s,                                          // a group
           "\x0e"s, "\x0f"s,                                     // wire types that do not exist
           "\xff\xff\xff\xff\xff\x01"s,                          // a field number above 2^29-1
       }) {
    Reader reader(bytes);
    EXPECT_FALSE(reader.next().has_value()) << testing::PrintToString(bytes);
    EXPECT_FALSE(reader.ok()) << testing::PrintToString(bytes);
    EXPECT_FALSE(reader.next().has_value());
  }
  Reader empty("");
  EXPECT_FALSE(empty.next().has_value());
  EXPECT_TRUE(empty.ok()) << "no bytes are an empty message";
}

}  // namespace
}  // namespace heddle::protobuf
