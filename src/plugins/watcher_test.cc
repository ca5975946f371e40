#include "plugins/watcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "plugins/test_folder.h"

namespace heddle::plugins {
namespace {

using std::chrono::milliseconds;

class WatcherTest : public ::testing::Test {
 protected:
  void watch(std::vector<std::string> directories,
             WatchOptions options = {.debounce = milliseconds(5)}) {
    auto made = Watcher::create(
        std::move(directories),
        [this] {
          const std::lock_guard lock(mutex_);
          if (told_) told_();
          ++calls_;
          wake_.notify_all();
        },
        *log_, std::move(options));
    ASSERT_TRUE(made) << made.error().message;
    watcher_ = std::move(*made);
  }
  bool wait_for_calls(int count) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(20), [&] { return calls_ >= count; });
  }
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

  std::unique_ptr<Log> log_ = Log::null();
  std::mutex mutex_;
  std::condition_variable wake_;
  int calls_ = 0;
  std::function<void()> told_;  // within a call
  testing::TestFolder folder_;
  std::unique_ptr<Watcher> watcher_;  // before the others: its thread uses them
};

TEST_F(WatcherTest, TellsOfWrittenMovedAndDeletedFiles) {
  watch({folder_.path().string()});
  std::ofstream(folder_.file("a.wasm")) << "x";
  EXPECT_TRUE(wait_for_calls(1));
  const int before_move = calls();
  folder_.write("b.wasm", "y");
  EXPECT_TRUE(wait_for_calls(before_move + 1));
  const int before_delete = calls();
  folder_.remove("a.wasm");
  EXPECT_TRUE(wait_for_calls(before_delete + 1));
}

TEST_F(WatcherTest, ManyEventsMakeFewCalls) {
  watch({folder_.path().string()}, {.debounce = milliseconds(200)});
  for (int i = 0; i < 200; ++i) folder_.write("a.wasm", std::to_string(i));
  EXPECT_TRUE(wait_for_calls(1));
  EXPECT_LE(calls(), 3);
}

TEST_F(WatcherTest, DirectoryThatComesLaterIsFound) {
  watch({folder_.file("later")});
  std::filesystem::create_directory(folder_.file("later"));
  EXPECT_TRUE(wait_for_calls(1));
  const int before = calls();
  std::ofstream(folder_.file("later/a.wasm")) << "x";
  EXPECT_TRUE(wait_for_calls(before + 1));
}

TEST_F(WatcherTest, DirectoryThatIsReplacedIsFoundAgain) {
  std::filesystem::create_directory(folder_.file("d"));
  watch({folder_.file("d")});
  std::filesystem::remove_all(folder_.file("d"));
  EXPECT_TRUE(wait_for_calls(1));
  const int before = calls();
  std::filesystem::create_directory(folder_.file("d"));
  EXPECT_TRUE(wait_for_calls(before + 1));
}

TEST_F(WatcherTest, NoCallAfterItsEnd) {
  watch({folder_.path().string()}, {.debounce = milliseconds(50)});
  folder_.write("a.wasm", "x");
  watcher_.reset();
  const int after = calls();
  folder_.write("b.wasm", "x");
  EXPECT_EQ(calls(), after);
}

TEST_F(WatcherTest, OnlyNamesThatCount) {
  watch({folder_.path().string()},
        {.debounce = milliseconds(5), .counts = [](auto name) { return name == "a.yaml"; }});
  folder_.write("b.yaml", "x");
  folder_.write("a.yaml", "x");
  EXPECT_TRUE(wait_for_calls(1));
  EXPECT_EQ(calls(), 1);
}

TEST_F(WatcherTest, WaitsWhileTheStampChanges) {
  std::atomic<int> asked = 0;
  std::atomic<int> asked_at_call = 0;
  told_ = [&] { asked_at_call = asked.load(); };
  watch({folder_.path().string()},
        {.debounce = milliseconds(5), .stamp = [&] { return std::min(++asked, 30); }});
  folder_.write("a.yaml", "x");
  EXPECT_TRUE(wait_for_calls(1));
  EXPECT_GT(asked_at_call, 30);
  watcher_.reset();
}

TEST_F(WatcherTest, TellsAtItsStartWhenAsked) {
  watch({folder_.path().string()}, {.debounce = milliseconds(5), .at_start = true});
  EXPECT_TRUE(wait_for_calls(1));
}

TEST_F(WatcherTest, ManyWatchersOneAfterTheOther) {
  for (int i = 0; i < 50; ++i) {
    watch({folder_.path().string()});
    watcher_.reset();
  }
  watch({folder_.path().string()});
}

}  // namespace
}  // namespace heddle::plugins
