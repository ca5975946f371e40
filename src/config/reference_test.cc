// The committed reference and schema are what the table gives. To write them anew:
// build/dev/src/config/heddle_config_docs docs
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "config/reader.h"
#include "config/settings.h"
#include "config/yaml.h"

namespace heddle::config {
namespace {

std::string slurp(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
}

TEST(Reference, MarkdownIsUpToDate) {
  EXPECT_EQ(slurp(HEDDLE_DOCS_DIR "/configuration.md"), markdown_reference());
}

TEST(Reference, SchemaIsUpToDate) {
  EXPECT_EQ(slurp(HEDDLE_DOCS_DIR "/configuration.schema.json"), json_schema());
}

TEST(Reference, SchemaIsJson) {
  Problems problems;
  const std::uint32_t file = problems.add_file("schema");
  const auto tree = parse_yaml(json_schema(), file, problems);
  ASSERT_TRUE(tree.has_value());
  EXPECT_FALSE(problems.has_errors());
  EXPECT_NE(tree->find("properties"), nullptr);
}

void check_rows(std::span<const Setting> rows, const std::string& path) {
  std::set<std::string_view> keys;
  for (const Setting& row : rows) {
    EXPECT_TRUE(keys.insert(row.key).second) << path << "." << row.key << " stands twice";
    EXPECT_TRUE(row.help.ends_with('.')) << path << "." << row.key << " needs a sentence of help";
    check_rows(row.rows, path + "." + std::string(row.key));
  }
}

TEST(Table, EveryRowHasItsOwnKeyAndHelp) {
  check_rows(settings(), "");
}

}  // namespace
}  // namespace heddle::config
