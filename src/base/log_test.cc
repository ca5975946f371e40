#include "base/log.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <string>

namespace heddle {
namespace {

std::string json_string(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

TEST(JsonStringTest, Escapes) {
  EXPECT_EQ(json_string("plain"), R"("plain")");
  EXPECT_EQ(json_string("a\"b\\c\nd\re\tf\x01g"), R"("a\"b\\c\nd\re\tf\u0001g")");
  EXPECT_EQ(json_string("\xC3\xA9\x7F"), "\"\xC3\xA9\x7F\"");
  EXPECT_EQ(json_string("\xC3("), "\"\xEF\xBF\xBD(\"");
}

TEST(JsonStringTest, EveryByteAtEveryPlaceReadsBack) {
  for (std::size_t size = 1; size < 20; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      for (int byte = 0; byte < 0x80; ++byte) {
        std::string text(size, 'x');
        text[at] = static_cast<char>(byte);
        const auto read = boost::json::parse(json_string(text));
        ASSERT_EQ(std::string_view(read.as_string()), text) << "byte " << byte << " at " << at;
      }
    }
  }
}

}  // namespace
}  // namespace heddle
