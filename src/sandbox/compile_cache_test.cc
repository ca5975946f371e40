#include "sandbox/compile_cache.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kText = "(module (func (export \"answer\") (result i32) i32.const 42))";

class CompileCacheTest : public SandboxTest {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "heddle-cache-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    root_ = name;
    make_engine({.cache_dir = folder(), .instances = 8});
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string folder() const { return root_ + "/deep/cache"; }
  std::vector<fs::path> entries() const {
    std::vector<fs::path> out;
    if (fs::exists(folder())) {
      for (const auto& entry : fs::directory_iterator(folder())) out.push_back(entry.path());
    }
    return out;
  }
  // Compiles, checks that the code runs, and tells whether it came from the cache.
  bool from_cache() {
    const auto module = compile(kText);
    EXPECT_TRUE(module.has_value());
    auto instance = start(kText);
    EXPECT_EQ(instance->call(*instance->function<std::int32_t()>("answer")), 42);
    return (*module)->from_cache();
  }

  std::string root_;
};

TEST_F(CompileCacheTest, SecondCompileHits) {
  EXPECT_FALSE(compile(kText).value()->from_cache());
  ASSERT_EQ(entries().size(), 1U);
  struct stat status{};
  ASSERT_EQ(stat(entries()[0].c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_TRUE(from_cache());
  make_engine({.cache_dir = folder(), .instances = 8});
  EXPECT_TRUE(from_cache());
}

TEST_F(CompileCacheTest, AnotherStrategyHasItsOwnEntries) {
  EXPECT_FALSE(compile(kText).value()->from_cache());
  make_engine({.strategy = Strategy::kPulley, .cache_dir = folder(), .instances = 8});
  EXPECT_FALSE(compile(kText).value()->from_cache());
  EXPECT_EQ(entries().size(), 2U);
  EXPECT_TRUE(from_cache());
}

TEST_F(CompileCacheTest, DamagedEntriesAreRewritten) {
  ASSERT_TRUE(compile(kText).has_value());
  const fs::path entry = entries().at(0);
  const auto size = fs::file_size(entry);
  const auto change = [&](std::uintmax_t at) {
    std::fstream file(entry, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const char old = static_cast<char>(file.get());
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(old ^ 1));
  };
  const std::function<void()> damages[] = {
      [&] { change(0); },
      [&] { change(size / 2); },
      [&] { change(size - 1); },
      [&] { change(size - 30); },
      [&] { fs::resize_file(entry, size / 2); },
      [&] { fs::resize_file(entry, size - 1); },
      [&] { fs::resize_file(entry, 10); },
      [&] { fs::resize_file(entry, 0); },
      [&] { fs::resize_file(entry, size + 4096); },
      [&] {
        fs::remove(entry);
        fs::create_directory(entry);
      },
      [&] {
        fs::remove(entry);
        fs::create_symlink("/etc/passwd", entry);
      },
  };
  for (const auto& damage : damages) {
    damage();
    EXPECT_FALSE(compile(kText).value()->from_cache());
    if (fs::is_directory(entry)) fs::remove(entry);
    EXPECT_EQ(entries().size() <= 1, true);
    static_cast<void>(compile(kText));
    EXPECT_TRUE(from_cache());
  }
}

// A whole and unchanged file under the name of another module must not be taken for it.
TEST_F(CompileCacheTest, EntriesAreBoundToTheirModule) {
  ASSERT_TRUE(compile(kText).has_value());
  const fs::path first = entries().at(0);
  ASSERT_TRUE(compile("(module (func (export \"answer\") (result i32) i32.const 13))").has_value());
  for (const fs::path& entry : entries()) {
    if (entry != first) fs::rename(entry, first);
  }
  EXPECT_FALSE(compile(kText).value()->from_cache());
  EXPECT_TRUE(from_cache());
}

TEST_F(CompileCacheTest, AFolderThatOthersMayEnterIsNotUsed) {
  ASSERT_TRUE(compile(kText).has_value());
  for (const mode_t mode : {0755U, 0770U, 0701U, 0500U}) {
    ASSERT_EQ(chmod(folder().c_str(), mode), 0);
    make_engine({.cache_dir = folder(), .instances = 8});
    EXPECT_FALSE(from_cache()) << mode;
  }
  ASSERT_EQ(chmod(folder().c_str(), 0700), 0);
  make_engine({.cache_dir = folder(), .instances = 8});
  EXPECT_TRUE(from_cache());
}

TEST_F(CompileCacheTest, ASymbolicLinkOrFileIsNotUsed) {
  fs::create_directory_symlink(folder(), root_ + "/link");
  make_engine({.cache_dir = root_ + "/link", .instances = 8});
  EXPECT_FALSE(from_cache());
  std::ofstream(root_ + "/file") << "x";
  make_engine({.cache_dir = root_ + "/file", .instances = 8});
  EXPECT_FALSE(from_cache());
  make_engine({.cache_dir = "/proc/nothing/here", .instances = 8});
  EXPECT_FALSE(from_cache());
}

TEST(Sha256, Hex) {
  EXPECT_EQ(sha256_hex({}), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

}  // namespace
}  // namespace heddle::sandbox
