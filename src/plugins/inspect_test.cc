#include "plugins/inspect.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "plugins/fake_sandbox.h"
#include "plugins/test_folder.h"

namespace heddle::plugins {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class InspectTest : public ::testing::Test {
 protected:
  Result<Inspection> run(const std::string& content) {
    return inspect(engine_, contracts_, folder_.write("m.wasm", content));
  }

  testing::TestFolder folder_;
  testing::FakeEngine engine_;
  testing::FakeContract contract_;
  std::vector<extension::PluginContract*> contracts_{&contract_};
};

TEST_F(InspectTest, TellsKindAbiImportsAndExports) {
  const auto report =
      run("module\nexport fake\nexport proxy_abi_version_0_2_0\nexport proxy_abi_version_0_2_1\n"
          "import env.proxy_log\nimport wbg.describe\n");
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->kind, "fake");
  EXPECT_EQ(report->abi_version, "0.2.1");
  EXPECT_EQ(report->missing_imports(), 1U);
  const std::string text = to_text(*report);
  EXPECT_THAT(text, AllOf(HasSubstr("  kind      fake\n"), HasSubstr("      env.proxy_log"),
                          HasSubstr("   !  wbg.describe"), HasSubstr("1 of them (!)"),
                          HasSubstr("64.0 KiB at start, no limit of its own at most")));
  const auto object = boost::json::parse(to_json(*report)).as_object();
  EXPECT_EQ(object.at("abi_version").as_string(), "0.2.1");
  EXPECT_EQ(object.at("missing_imports").as_int64(), 1);
  EXPECT_EQ(object.at("imports").as_array().at(1).at("offered").as_bool(), false);
  EXPECT_TRUE(object.at("memory").at("maximum_bytes").is_null());
  EXPECT_EQ(object.at("exports").as_array().size(), 3U);
}

TEST_F(InspectTest, UnknownKindIsNoError) {
  const auto report = run("module\nexport run\nimport env.x\n");
  ASSERT_TRUE(report);
  EXPECT_EQ(report->kind, "");
  EXPECT_THAT(to_text(*report), HasSubstr("kind      unknown"));
  EXPECT_TRUE(boost::json::parse(to_json(*report)).at("kind").is_null());
}

TEST_F(InspectTest, NamesFromTheModuleCannotSteerTheTerminal) {
  const auto report = run("module\nexport a\x1b[2Jb\n");
  ASSERT_TRUE(report);
  EXPECT_THAT(to_text(*report), HasSubstr("a\\x1b[2Jb"));
}

TEST_F(InspectTest, ErrorsNameTheFileOnce) {
  const auto broken =
      run("\x7f"
          "ELF");
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("m.wasm: not a WebAssembly module"));
  EXPECT_EQ(broken.error().message.find("m.wasm"), broken.error().message.rfind("m.wasm"));
  const auto missing = inspect(engine_, contracts_, folder_.file("none.wasm"));
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("none.wasm: no such file"));
}

}  // namespace
}  // namespace heddle::plugins
