#include "sandbox/module_sections.h"

#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

using namespace std::string_literals;

const std::string kHeader = "\0asm\x01\0\0\0"s;

TEST(ModuleSections, RefusesWhatIsNoModule) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"", "empty"},
      {"\x7f"
       "ELF\x02\x01\x01\0\0"s,
       "not a Wasm module (starts with 7f 45 4c 46"},
      {"\0as"s, "truncated: 3 bytes"},
      {"\0asm\x0d\0\x01\0"s, "component"},
      {"\0asm\x02\0\0\0"s, "unknown Wasm version"},
      {kHeader + "\x01"s, "truncated in the header of the section at byte 8"},
      {kHeader + "\x0a\x64\0"s, "truncated: the code section at byte 8 has 100 bytes, 1 are left"},
      {kHeader + "\x01\x02\x01\x33"s, "malformed type section"},
      {kHeader + "\x02\x05\x01\0\0\0\x07"s, "malformed import section"},
      {kHeader + "\x01\x05\xff\xff\xff\xff\x0f"s, "malformed type section"},
      {kHeader + "\x07\x04\x01\0\0\x05"s, "malformed export section"},
      {kHeader + "\0\x01\x05"s, "malformed custom section"},
  };
  for (const auto& [bytes, message] : cases) {
    const auto result = parse_module_sections(bytes);
    ASSERT_FALSE(result.has_value()) << message;
    EXPECT_TRUE(result.error().message.contains(message)) << result.error().message;
    EXPECT_EQ(result.error().kind, ErrorKind::kInvalidArgument);
  }
}

TEST(ModuleSections, EveryPrefixIsHandled) {
  const std::string whole = kHeader + "\x01\x05\x01\x60\x01\x7f\0"s +
                            "\x02\x07\x01\x01m\x01n\0\0"s + "\x05\x04\x01\x01\x02\x03"s +
                            "\x07\x05\x01\x01x\0\0"s + "\0\x03\x01zq"s;
  ASSERT_TRUE(parse_module_sections(whole).has_value());
  for (std::size_t i = 0; i < whole.size(); ++i) {
    static_cast<void>(parse_module_sections(std::string_view(whole).substr(0, i)));
  }
}

// One type of 1,000 parameters that 8,000 imports name would be copied 8,000 times.
TEST(ModuleSections, CopiesOfTypesAreBounded) {
  const auto number = [](std::size_t value) {
    return std::string{static_cast<char>((value & 0x7FU) | 0x80U),
                       static_cast<char>(((value >> 7U) & 0x7FU) | 0x80U),
                       static_cast<char>(value >> 14U)};
  };
  const std::string type = "\x01\x60"s + number(1000) + std::string(1000, '\x7f') + "\0"s;
  const auto module = [&](std::size_t imports) {
    std::string body = number(imports);
    for (std::size_t i = 0; i < imports; ++i) body += "\0\0\0\0"s;
    return kHeader + "\x01" + number(type.size()) + type + "\x02" + number(body.size()) + body;
  };
  EXPECT_TRUE(parse_module_sections(module(100)).has_value());
  EXPECT_FALSE(parse_module_sections(module(8000)).has_value());
}

class DeclarationsTest : public SandboxTest {};

TEST_F(DeclarationsTest, ImportsExportsAndMemory) {
  const auto module = compile(R"((module
    (type $s (struct (field i8) (field (mut i64))))
    (rec (type $a (array (mut f32))) (type $f (func (param v128 externref) (result i64 i32))))
    (import "env" "call" (func (param i32 i64) (result f64)))
    (import "env" "wide" (func (type $f)))
    (import "env" "table" (table 3 funcref))
    (import "env" "flag" (global (mut i32)))
    (memory (export "memory") 2 10)
    (func (export "run") (param f32) (result i32) i32.const 1)
    (func (export "typed") (type $f) unreachable)
    (@custom "notes" "hello")
    (@custom ".debug_line" "long")))");
  ASSERT_TRUE(module.has_value()) << module.error().message;
  const Module& m = **module;
  ASSERT_EQ(m.imports().size(), 4U);
  EXPECT_EQ(to_string(m.imports()[0].type), "(i32, i64) -> f64");
  EXPECT_EQ(to_string(m.imports()[1].type), "(v128, ref) -> (i64, i32)");
  EXPECT_EQ(m.imports()[2].kind, ExternKind::kTable);
  EXPECT_EQ(m.imports()[3].kind, ExternKind::kGlobal);
  ASSERT_NE(m.find_export("run"), nullptr);
  EXPECT_EQ(to_string(m.find_export("run")->type), "(f32) -> i32");
  EXPECT_EQ(to_string(m.find_export("typed")->type), "(v128, ref) -> (i64, i32)");
  EXPECT_EQ(m.find_export("memory")->kind, ExternKind::kMemory);
  EXPECT_EQ(m.find_export("none"), nullptr);
  EXPECT_EQ(m.initial_memory_bytes(), 2U * 65536);
  EXPECT_EQ(m.maximum_memory_bytes(), 10U * 65536);
  EXPECT_EQ(m.custom_section("notes"), "hello");
  EXPECT_EQ(m.custom_section(".debug_line"), "");
  EXPECT_EQ(m.custom_section("none"), std::nullopt);
  EXPECT_EQ(m.sha256().size(), 64U);
}

TEST_F(DeclarationsTest, CompileErrorsNameTheModule) {
  const auto expect = [&](std::string_view bytes, std::string_view message) {
    const auto result = compile(bytes);
    ASSERT_FALSE(result.has_value());
    EXPECT_TRUE(result.error().message.starts_with("module test: ")) << result.error().message;
    EXPECT_TRUE(result.error().message.contains(message)) << result.error().message;
  };
  expect("", "empty");
  expect("hello world", "not a Wasm module (starts with 68 65");
  expect("(module (func i32.add))", "type mismatch");
  expect("(module (func", "bad text format");
  expect("(component)", "component");
  expect(
      "(module (import \"m\" \"w\" (func (param i64) (result i64))) (func (param i64 i64 i64 i64) "
      "local.get 0 local.get 1 local.get 2 local.get 3 i64.add128 drop drop))",
      "a Wasm feature that Heddle does not offer");
}

}  // namespace
}  // namespace heddle::sandbox
