#include "base/log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>

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

class LogFileTest : public ::testing::Test {
 public:
  LogFileTest() { std::filesystem::create_directory(folder_); }
  ~LogFileTest() override { std::filesystem::remove_all(folder_); }
  LogFileTest(const LogFileTest&) = delete;
  LogFileTest& operator=(const LogFileTest&) = delete;

 protected:
  std::unique_ptr<Log> open(LogFormat format) const {
    auto log = Log::create(LogLevel::kInfo, format, file_);
    EXPECT_TRUE(log) << log.error().message;
    return std::move(*log);
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  const std::string folder_ = ::testing::TempDir() + "heddle-log-" + std::to_string(getpid());
  const std::string file_ = folder_ + "/log";
};

TEST_F(LogFileTest, TextForgesNoLines) {
  open(LogFormat::kText)
      ->info("a\nb", {{"user_agent", "x\r\n2026 error\x1b[2J\xC2\x9B\xC3\xA9\xFF"}});
  EXPECT_THAT(read(file_),
              ::testing::EndsWith(
                  " info a\\nb user_agent=x\\x0d\\n2026 error\\x1b[2J\\xc2\\x9b\xC3\xA9\\xff\n"));
}

TEST_F(LogFileTest, AFileThatWasMovedAwayIsOpenedAnew) {
  const auto log = open(LogFormat::kText);
  log->info("before");
  log->flush();
  while (!read(file_).contains("before")) std::this_thread::yield();
  std::filesystem::rename(file_, file_ + ".1");
  ASSERT_TRUE(log->reopen());
  log->flush();
  log->info("after");
  while (!read(file_).contains("after")) std::this_thread::yield();
  EXPECT_THAT(read(file_ + ".1"), ::testing::EndsWith(" info before\n"));
  std::filesystem::remove_all(folder_);
  std::ofstream(folder_) << "no folder";
  EXPECT_FALSE(log->reopen());
}

}  // namespace
}  // namespace heddle
