// Resolving imports, and looking up exports: what fits, and what the errors say.
#include "sandbox/testing.h"

namespace heddle::sandbox {
namespace {

std::int32_t one(Instance& /*instance*/) {
  return 1;
}
std::int32_t two(Instance& /*instance*/) {
  return 2;
}
double mixed(Instance& /*instance*/, std::int32_t a, std::int64_t b, float c, double d) {
  return a + static_cast<double>(b) + static_cast<double>(c) + d;
}
std::uint64_t wide(Instance& /*instance*/) {
  return 0xFFFF'FFFF'0000'0001U;
}
constexpr HostFunction kTable[] = {
    host_function<&one>("env", "number"), host_function<&two>("env", "number"),
    host_function<&mixed>("env", "mixed"), host_function<&wide>("env", "wide")};
constexpr HostFunction kOther = host_function<&two>("env", "number");

class LinkTest : public SandboxTest {};

TEST_F(LinkTest, AllValueTypesAndTheFirstRowWins) {
  auto instance = start(R"((module
    (import "env" "number" (func $n (result i32)))
    (import "env" "number" (func $n2 (result i32)))
    (import "env" "mixed" (func $m (param i32 i64 f32 f64) (result f64)))
    (import "env" "wide" (func $w (result i64)))
    (func (export "number") (result i32) (i32.add (call $n) (call $n2)))
    (func (export "mixed") (param i32 i64 f32 f64) (result f64)
      (call $m (local.get 0) (local.get 1) (local.get 2) (local.get 3)))
    (func (export "wide") (result i64) (call $w))))",
                        kTable);
  EXPECT_EQ(instance->call(*instance->function<std::int32_t()>("number")), 2);
  const auto mix = instance->function<double(std::int32_t, std::int64_t, float, double)>("mixed");
  EXPECT_EQ(instance->call(*mix, -1, std::int64_t{1} << 40U, 0.5F, 0.25), 1099511627775.75);
  EXPECT_EQ(instance->call(*instance->function<std::uint64_t()>("wide")), 0xFFFF'FFFF'0000'0001U);
}

TEST_F(LinkTest, MissingImportsAreAllListed) {
  const auto linked = link(R"((module
    (import "env" "fly" (func (param i32 i64) (result i32)))
    (import "env" "number" (func (param i32) (result i32)))
    (import "moon" "land" (func (param v128 externref)))
    (import "env" "memory" (memory 1))))",
                           kTable);
  ASSERT_FALSE(linked.has_value());
  EXPECT_EQ(linked.error().message,
            "module test: imports that cannot be resolved: "
            "env.fly (i32, i64) -> i32 (Heddle lacks it); "
            "env.number (i32) -> i32 (Heddle offers it as () -> i32); "
            "moon.land (v128, ref) -> () (Heddle lacks it); "
            "env.memory (a memory; Heddle offers functions only); build it without these calls, or "
            "for an ABI that Heddle has (`heddle inspect` shows all imports)");
}

TEST_F(LinkTest, AllowMissing) {
  const auto linked = link(R"((module (import "moon" "land" (func $l (param v128)))
    (func (export "ok")) (func (export "run") (call $l (v128.const i64x2 0 0)))))",
                           kTable, {.allow_missing = true});
  ASSERT_TRUE(linked.has_value()) << linked.error().message;
  auto instance = Instance::create(*linked, limits_, nullptr, nullptr);
  ASSERT_TRUE(instance.has_value());
  EXPECT_TRUE((*instance)->call(*(*instance)->function<void()>("ok")).has_value());
  const Trap trap = trap_of(**instance);
  EXPECT_EQ(trap.reason, TrapReason::kHost);
  EXPECT_TRUE(trap.message.contains("moon::land")) << trap.message;
}

TEST_F(LinkTest, Replace) {
  LinkedModule::Options options;
  options.context = &kOther;
  options.replace = [](const void* context, std::string_view /*module*/,
                       std::string_view name) -> const HostFunction* {
    return name == "number" ? static_cast<const HostFunction*>(context) : nullptr;
  };
  const auto linked = link(R"((module (import "env" "number" (func $n (result i32)))
    (func (export "number") (result i32) (call $n))))",
                           kTable, options);
  ASSERT_TRUE(linked.has_value());
  auto instance = Instance::create(*linked, limits_, nullptr, nullptr);
  EXPECT_EQ((*instance)->call(*(*instance)->function<std::int32_t()>("number")), 2);
}

TEST_F(LinkTest, Exports) {
  auto instance = start(R"((module (memory (export "memory") 1)
    (func (export "f") (param i32) (result i64) i64.const 0)
    (func (export "wide") (param v128))
    (func (export "many") (result i32 i32) i32.const 0 i32.const 0)))");
  const auto absent = instance->function<void()>("none");
  ASSERT_TRUE(absent.has_value());
  EXPECT_FALSE(static_cast<bool>(*absent));
  EXPECT_FALSE(instance->call(*absent).has_value());
  EXPECT_FALSE(instance->dead());
  EXPECT_EQ(instance->function<void()>("f").error().message,
            "export f has type (i32) -> i64, Heddle calls it as () -> ()");
  EXPECT_FALSE(instance->function<void(std::int32_t)>("wide").has_value());
  EXPECT_FALSE(instance->function<std::int32_t()>("many").has_value());
  EXPECT_EQ(instance->function<void()>("memory").error().message,
            "export memory is a memory, not a function");
  EXPECT_TRUE((instance->function<std::int64_t(std::uint32_t)>("f").has_value()));
}

}  // namespace
}  // namespace heddle::sandbox
