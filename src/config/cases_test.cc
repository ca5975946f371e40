// Text-file cases: testdata/bad/x.yaml must be refused and testdata/good/x.yaml accepted, each with
// exactly the messages of x.expected. After a change of messages, HEDDLE_UPDATE_EXPECTED=1 writes
// the .expected files anew; read the diff.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/reader.h"

namespace heddle::config {
namespace {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

std::vector<std::string> cases(const std::string& folder) {
  std::vector<std::string> out;
  for (const auto& entry :
       std::filesystem::directory_iterator(std::string(HEDDLE_CONFIG_TESTDATA "/") + folder)) {
    if (entry.path().extension() == ".yaml")
      out.push_back(folder + "/" + entry.path().stem().string());
  }
  std::ranges::sort(out);
  return out;
}

class Case : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    setenv("HEDDLE_TEST_SET", "value", 1);
    unsetenv("HEDDLE_TEST_UNSET");
    unsetenv("HEDDLE_TEST_WORKERS");
  }
};

TEST_P(Case, GivesTheExpectedMessages) {
  const std::filesystem::path stem = std::string(HEDDLE_CONFIG_TESTDATA "/") + GetParam();
  const std::string name = stem.filename().string() + ".yaml";
  const ReadResult result = read_text(slurp(stem.string() + ".yaml"), name, "", {});
  std::string messages;
  for (const Problem& problem : result.problems) messages += to_string(problem) + "\n";
  EXPECT_EQ(result.ok(), GetParam().starts_with("good/")) << messages;
  const std::string expected = stem.string() + ".expected";
  if (getenv("HEDDLE_UPDATE_EXPECTED") != nullptr) {
    std::ofstream(expected, std::ios::binary | std::ios::trunc) << messages;
  }
  EXPECT_EQ(messages, slurp(expected));
  if (!result.ok()) return;
  // What is accepted reads back from its own dump; redacted hashes and databases are refused, as
  // they must be.
  if (!result.config->admin.users.empty() || !result.config->storage.url.empty()) return;
  const ReadResult again = read_text(result.config->effective_yaml, "dump.yaml", "", {});
  ASSERT_TRUE(again.ok()) << to_string(again.problems.front()) << "\n"
                          << result.config->effective_yaml;
  EXPECT_EQ(again.config->effective_yaml, result.config->effective_yaml);
}

std::string case_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  std::ranges::replace(name, '/', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(Bad, Case, testing::ValuesIn(cases("bad")), case_name);
INSTANTIATE_TEST_SUITE_P(Good, Case, testing::ValuesIn(cases("good")), case_name);

}  // namespace
}  // namespace heddle::config
