#include "sandbox/custom_section.h"

#include <gtest/gtest.h>

#include "sandbox/module_sections.h"

namespace heddle::sandbox {
namespace {

using namespace std::string_literals;

const std::string kEmpty = "\0asm\1\0\0\0"s;

std::string content_of(const std::string& module, std::string_view name) {
  const auto sections = parse_module_sections(module).value();
  std::string out;
  for (const auto& section : sections.custom) {
    if (section.name == name) out += section.bytes;
  }
  return out;
}

TEST(CustomSectionTest, StandsRightBehindTheHeader) {
  const auto out = set_custom_section(kEmpty, "manifest", "{}").value();
  EXPECT_EQ(out, kEmpty + "\0\x0b\x08manifest{}"s);
}

TEST(CustomSectionTest, ReplacesAndKeepsTheRest) {
  const std::string types = "\1\4\1\x60\0\0"s;  // one function type
  std::string module = set_custom_section(kEmpty + types, "other", "kept").value();
  module = set_custom_section(module, "manifest", "old").value();
  module = set_custom_section(module, "manifest", std::string(300, 'n')).value();
  EXPECT_EQ(content_of(module, "manifest"), std::string(300, 'n'));
  EXPECT_EQ(content_of(module, "other"), "kept");
  EXPECT_TRUE(module.ends_with(types));
}

TEST(CustomSectionTest, RefusesWhatIsNoModule) {
  EXPECT_FALSE(set_custom_section("text", "manifest", "{}"));
  EXPECT_FALSE(set_custom_section(kEmpty + "\1\x7f", "manifest", "{}"));
}

}  // namespace
}  // namespace heddle::sandbox
