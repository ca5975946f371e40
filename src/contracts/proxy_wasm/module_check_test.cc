#include "contracts/proxy_wasm/module_check.h"

#include <string>

#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

constexpr std::string_view kAllocator =
    R"((func (export "malloc") (param i32) (result i32) (i32.const 0)))";
constexpr std::string_view kMarker = R"((func (export "proxy_abi_version_0_2_1")))";

class ModuleCheckTest : public ProxyWasmTest {
 protected:
  Result<ModuleTraits> check(const std::string& body) {
    const std::string wat = "(module (memory (export \"memory\") 1)" + body + ")";
    auto module = engine_->compile(std::as_bytes(std::span(wat)), "tested");
    EXPECT_TRUE(module.has_value()) << module.error().message;
    return check_module(**module);
  }
  Result<ModuleTraits> check_callback(const std::string& definition) {
    return check(std::string(kMarker) + std::string(kAllocator) + definition);
  }
};

TEST_F(ModuleCheckTest, Versions) {
  const auto version = [&](const std::string& name) {
    return check("(func (export \"" + name + "\"))" + std::string(kAllocator))->abi;
  };
  EXPECT_EQ(version("proxy_abi_version_0_1_0"), AbiVersion::k0_1_0);
  EXPECT_EQ(version("proxy_abi_version_0_2_0"), AbiVersion::k0_2_0);
  EXPECT_EQ(version("proxy_abi_version_0_2_1"), AbiVersion::k0_2_1);
}

TEST_F(ModuleCheckTest, MissingOrUnknownMarker) {
  EXPECT_NE(check(std::string(kAllocator)).error().message.find("proxy_abi_version_*"),
            std::string::npos);
  const auto unknown =
      check("(func (export \"proxy_abi_version_9_9_9\"))" + std::string(kAllocator));
  ASSERT_FALSE(unknown.has_value());
  EXPECT_NE(unknown.error().message.find("proxy_abi_version_9_9_9"), std::string::npos);
}

TEST_F(ModuleCheckTest, AllocatorIsNeeded) {
  const auto without = check(std::string(kMarker));
  ASSERT_FALSE(without.has_value());
  EXPECT_NE(without.error().message.find("proxy_on_memory_allocate"), std::string::npos);
}

TEST_F(ModuleCheckTest, WrongTypesNameExportFoundAndExpected) {
  const auto wrong = check_callback(
      R"((func (export "proxy_on_request_body") (param i64) (result i32) (i32.const 0)))");
  ASSERT_FALSE(wrong.has_value());
  for (const std::string_view part :
       {"proxy_on_request_body", "(i64) -> i32", "(i32, i32, i32) -> i32"}) {
    EXPECT_NE(wrong.error().message.find(part), std::string::npos) << wrong.error().message;
  }
  const auto no_function = check_callback(R"((global (export "proxy_on_log") i32 (i32.const 0)))");
  ASSERT_FALSE(no_function.has_value());
  EXPECT_NE(no_function.error().message.find("a global"), std::string::npos)
      << no_function.error().message;
}

TEST_F(ModuleCheckTest, HeaderCallbacksHaveTwoOrThreeParametersUnderAnyMarker) {
  for (const std::string_view marker : {"0_1_0", "0_2_0", "0_2_1"}) {
    for (const std::string_view parameters : {"i32 i32", "i32 i32 i32"}) {
      const auto traits =
          check("(func (export \"proxy_abi_version_" + std::string(marker) + "\"))" +
                std::string(kAllocator) + "(func (export \"proxy_on_request_headers\") (param " +
                std::string(parameters) + ") (result i32) (i32.const 0))");
      ASSERT_TRUE(traits.has_value()) << traits.error().message;
      EXPECT_TRUE(traits->callbacks[static_cast<std::size_t>(Callback::kRequestHeaders)]);
    }
  }
  EXPECT_FALSE(
      check_callback(
          R"((func (export "proxy_on_request_headers") (param i32) (result i32) (i32.const 0)))")
          .has_value());
}

// No import of the three ABI versions may be missing (reference/proxy-wasm.md, section 1.2).
TEST_F(ModuleCheckTest, EveryImportIsOffered) {
  for (const std::string_view name : {"proxy_log",
                                      "proxy_get_log_level",
                                      "proxy_get_current_time_nanoseconds",
                                      "proxy_set_tick_period_milliseconds",
                                      "proxy_get_configuration",
                                      "proxy_get_buffer_bytes",
                                      "proxy_get_buffer_status",
                                      "proxy_set_buffer_bytes",
                                      "proxy_get_header_map_pairs",
                                      "proxy_set_header_map_pairs",
                                      "proxy_get_header_map_value",
                                      "proxy_add_header_map_value",
                                      "proxy_replace_header_map_value",
                                      "proxy_remove_header_map_value",
                                      "proxy_get_header_map_size",
                                      "proxy_get_property",
                                      "proxy_set_property",
                                      "proxy_continue_request",
                                      "proxy_continue_response",
                                      "proxy_clear_route_cache",
                                      "proxy_continue_stream",
                                      "proxy_close_stream",
                                      "proxy_send_local_response",
                                      "proxy_send_http_response",
                                      "proxy_http_call",
                                      "proxy_grpc_call",
                                      "proxy_grpc_stream",
                                      "proxy_grpc_send",
                                      "proxy_grpc_cancel",
                                      "proxy_grpc_close",
                                      "proxy_get_status",
                                      "proxy_get_shared_data",
                                      "proxy_set_shared_data",
                                      "proxy_register_shared_queue",
                                      "proxy_resolve_shared_queue",
                                      "proxy_enqueue_shared_queue",
                                      "proxy_dequeue_shared_queue",
                                      "proxy_define_metric",
                                      "proxy_increment_metric",
                                      "proxy_record_metric",
                                      "proxy_get_metric",
                                      "proxy_set_effective_context",
                                      "proxy_done",
                                      "proxy_call_foreign_function",
                                      "pthread_equal",
                                      "emscripten_notify_memory_growth",
                                      "abort"}) {
    EXPECT_TRUE(contract_->offers_import("env", name)) << name;
  }
  EXPECT_TRUE(contract_->offers_import("wasi_snapshot_preview1", "fd_write"));
  EXPECT_TRUE(contract_->offers_import("wasi_unstable", "fd_write"));
  EXPECT_FALSE(contract_->offers_import("env", "proxy_teleport"));
}

TEST_F(ModuleCheckTest, OldImportsWithoutResult) {
  const auto loaded = load(R"((module (import "env" "proxy_continue_request" (func))
    (import "env" "proxy_continue_response" (func (result i32)))
    (memory (export "memory") 1) (func (export "proxy_abi_version_0_1_0"))
    (func (export "malloc") (param i32) (result i32) (i32.const 0))))");
  EXPECT_TRUE(loaded.has_value()) << loaded.error().message;
}

TEST_F(ModuleCheckTest, UnknownImportIsNamed) {
  const auto loaded =
      load(R"((module (import "env" "proxy_teleport" (func)) (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1")) (func (export "malloc") (param i32) (result i32) (i32.const 0))))");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("env.proxy_teleport"), std::string::npos);
}

TEST_F(ModuleCheckTest, MoreMemoryThanItsLimitNamesTheSetting) {
  const auto loaded =
      load(R"((module (memory (export "memory") 1000) (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) (i32.const 0))))");
  ASSERT_FALSE(loaded.has_value());
  EXPECT_NE(loaded.error().message.find("memory_limit: 63MiB"), std::string::npos)
      << loaded.error().message;
}

}  // namespace
}  // namespace heddle::proxy_wasm
