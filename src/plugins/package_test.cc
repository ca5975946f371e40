#include "plugins/package.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zip.h>

#include <utility>

#include "plugins/directory.h"
#include "plugins/test_folder.h"

namespace heddle::plugins {
namespace {

using ::testing::HasSubstr;
using testing::TestFolder;
namespace gt = ::testing;

std::string text_of(const std::vector<std::byte>& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

using Files = std::vector<std::pair<std::string, std::string>>;

std::string zip(const TestFolder& folder, const std::string& name, const Files& files) {
  const std::string path = folder.file(name);
  zip_t* archive = zip_open(path.c_str(), ZIP_CREATE | ZIP_TRUNCATE, nullptr);
  for (const auto& [file, content] : files) {
    zip_source_t* source = zip_source_buffer(archive, content.data(), content.size(), 0);
    zip_file_add(archive, file.c_str(), source, ZIP_FL_OVERWRITE);
  }
  zip_close(archive);
  return path;
}

std::string error_of(const std::string& path) {
  const auto package = read_package(path);
  return package ? "read" : package.error().message;
}

TEST(PackageTest, AModuleAlone) {
  const TestFolder folder;
  const auto package = read_package(folder.write("a.wasm", "module")).value();
  EXPECT_EQ(text_of(package.module), "module");
  EXPECT_FALSE(package.manifest);
  EXPECT_EQ(package.sha256, package.digest);
}

TEST(PackageTest, AManifestBesideAModule) {
  const TestFolder folder;
  const std::string path = folder.write("a.wasm", "module");
  folder.write("manifest.json", R"({"wasm_entry":"a.wasm"})");
  const auto shared = read_package(path).value();
  EXPECT_EQ(shared.manifest, R"({"wasm_entry":"a.wasm"})");
  EXPECT_NE(shared.sha256, shared.digest);
  folder.write("a.json", "{}");
  EXPECT_EQ(read_package(path)->manifest, "{}");
  EXPECT_THAT(package_files(path), gt::ElementsAre(path, folder.file("a.json")));
}

TEST(PackageTest, AManifestOfAnotherModuleDoesNotCount) {
  const TestFolder folder;
  const std::string path = folder.write("a.wasm", "module");
  folder.write("manifest.json", R"({"wasm_entry":"b.wasm"})");
  EXPECT_FALSE(read_package(path)->manifest);
  folder.write("manifest.json", "{}");
  EXPECT_TRUE(read_package(path)->manifest);  // nothing else could be meant
  folder.write("b.wasm", "module");
  EXPECT_FALSE(read_package(path)->manifest);
}

TEST(PackageTest, AFolder) {
  const TestFolder folder;
  folder.write("manifest.json", R"({"wasm_entry":"x.wasm"})");
  EXPECT_THAT(error_of(folder.path().string()), HasSubstr("x.wasm: no such file"));
  folder.write("x.wasm", "x");
  folder.write("y.wasm", "y");
  EXPECT_EQ(text_of(read_package(folder.path().string())->module), "x");
  folder.write("manifest.json", "{}");
  EXPECT_THAT(error_of(folder.path().string()), HasSubstr("several .wasm files"));
  folder.write("plugin.wasm", "p");
  const auto package = read_package(folder.path().string()).value();
  EXPECT_EQ(text_of(package.module), "p");
  EXPECT_EQ(package.manifest, "{}");
}

TEST(PackageTest, AManifestAlone) {
  const TestFolder folder;
  folder.write("manifest.json", R"({"name":"pages"})");
  const auto package = read_package(folder.path().string());
  ASSERT_TRUE(package) << package.error().message;
  EXPECT_TRUE(package->module.empty());
  EXPECT_EQ(package->manifest, R"({"name":"pages"})");
  std::error_code unreadable;
  EXPECT_TRUE(is_package(folder.path().string(), unreadable));
  EXPECT_FALSE(unreadable);
  folder.write("manifest.json", R"({"name":"pages","wasm_entry":"x.wasm"})");
  EXPECT_THAT(error_of(folder.path().string()), HasSubstr("x.wasm: no such file"));
}

TEST(PackageTest, AFolderCannotNameAFileOutsideOfIt) {
  const TestFolder outside;
  outside.write("secret.wasm", "secret");
  std::filesystem::create_directory(outside.path() / "plugin");
  for (const std::string& entry : {std::string("../secret.wasm"), outside.file("secret.wasm")}) {
    std::ofstream(outside.path() / "plugin" / "manifest.json")
        << R"({"wasm_entry":")" << entry << "\"}";
    EXPECT_THAT(error_of(outside.file("plugin")), HasSubstr("leads out of the folder"));
  }
  std::filesystem::create_symlink("../secret.wasm", outside.path() / "plugin" / "link.wasm");
  std::ofstream(outside.path() / "plugin" / "manifest.json") << R"({"wasm_entry":"link.wasm"})";
  EXPECT_THAT(error_of(outside.file("plugin")), HasSubstr("leads out of the folder"));
}

TEST(PackageTest, AZip) {
  const TestFolder folder;
  const std::string manifest = R"({"wasm_entry":"n.wasm"})";
  for (const Files& files :
       {Files{{"manifest.json", manifest}, {"n.wasm", "module"}},
        Files{{"plugin/manifest.json", manifest}, {"plugin/n.wasm", "module"}}}) {
    const auto package = read_package(zip(folder, "a.zip", files));
    ASSERT_TRUE(package) << package.error().message;
    EXPECT_EQ(text_of(package->module), "module");
    EXPECT_EQ(package->manifest, manifest);
  }
  const auto alone =
      read_package(zip(folder, "pages.zip", {{"p/manifest.json", R"({"name":"p"})"}}));
  ASSERT_TRUE(alone) << alone.error().message;
  EXPECT_TRUE(alone->module.empty());
  EXPECT_EQ(alone->manifest, R"({"name":"p"})");
  const auto bare = read_package(zip(folder, "b.zip", {{"x.wasm", "module"}}));
  ASSERT_TRUE(bare);
  EXPECT_FALSE(bare->manifest);
}

TEST(PackageTest, ZipsThatAreRefused) {
  const TestFolder folder;
  EXPECT_THAT(error_of(folder.write("a.zip", "PK nonsense")), HasSubstr("is not a .zip"));
  EXPECT_THAT(error_of(zip(folder, "b.zip", {{"readme", "text"}})), HasSubstr("no .wasm file"));
  EXPECT_THAT(error_of(zip(folder, "c.zip", {{"../x.wasm", "m"}})), HasSubstr("outside of it"));
  EXPECT_THAT(error_of(zip(folder, "d.zip", {{"/etc/x.wasm", "m"}})), HasSubstr("outside of it"));
  EXPECT_THAT(error_of(zip(folder, "e.zip",
                           {{"manifest.json", R"({"wasm_entry":"no.wasm"})"}, {"x.wasm", "m"}})),
              HasSubstr("no file \"no.wasm\""));
  EXPECT_THAT(error_of(zip(folder, "f.zip",
                           {{"manifest.json", std::string(8 << 20, ' ')}, {"x.wasm", "m"}})),
              HasSubstr("larger than 1048576 bytes unpacked"));
  Files many;
  for (int i = 0; i < 1'001; ++i) many.emplace_back("f" + std::to_string(i), "x");
  EXPECT_THAT(error_of(zip(folder, "g.zip", many)), HasSubstr("at most 1000"));
}

TEST(PackageTest, WhatADirectoryHolds) {
  const TestFolder folder;
  folder.write("a.wasm", "m");
  zip(folder, "b.zip", {{"x.wasm", "m"}});
  std::filesystem::create_directory(folder.path() / "c");
  std::ofstream(folder.path() / "c" / "manifest.json") << "{}";
  std::filesystem::create_directory(folder.path() / "empty");
  folder.write("readme.md", "text");
  std::vector<std::string> names;
  config::PluginDirectory directory;
  directory.path = folder.path().string();
  for (const config::Plugin& plugin : scan_directory(directory, nullptr).plugins)
    names.push_back(plugin.name);
  EXPECT_THAT(names, gt::ElementsAre("a", "b", "c"));
  EXPECT_THAT(folders_in(folder.path().string()),
              gt::ElementsAre(folder.file("c"), folder.file("empty")));
}

}  // namespace
}  // namespace heddle::plugins
