#include <boost/json.hpp>

#include "contracts/route/test_support.h"

namespace heddle::route {
namespace {

using std::chrono::milliseconds;
using HandlersTest = RouteTest;

std::string returning(std::string_view data, std::string_view more = {}) {
  std::string escaped;
  for (const char c : data) {
    constexpr std::string_view kHex = "0123456789abcdef";
    escaped += '\\';
    escaped += kHex[static_cast<unsigned char>(c) >> 4U];
    escaped += kHex[static_cast<unsigned char>(c) & 15U];
  }
  return R"((module (memory (export "memory") 1) (data (i32.const 1024) ")" + escaped + R"(")
    (func (export "run") (param i32 i32) (result i32) (i32.const 1024)) )" +
         std::string(more) + ")";
}

// Answers with its own input: "echo" without allocator gives the pointer back.
constexpr std::string_view kEcho = R"((module (memory (export "memory") 1)
  (func (export "run") (param i32 i32) (result i32) (local.get 0))))";

TEST_F(HandlersTest, EchoesItsInputWithoutAnAllocator) {
  ASSERT_TRUE(load(kEcho).has_value());
  const Answer answer = call("POST", "/x?page=2&q=a%20b", R"({"name":"n","method":"mine"})");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.headers.at("content-type"), "application/json");
  const auto value = boost::json::parse(answer.body).as_object();
  EXPECT_EQ(value.at("method"), "POST");
  EXPECT_EQ(value.at("path"), "/x");
  EXPECT_EQ(value.at("query").at("q"), "a b");
  EXPECT_EQ(value.at("body").at("name"), "n");
  EXPECT_EQ(value.at("name"), "n");
  EXPECT_TRUE(value.at("user").is_null());
  EXPECT_EQ(value.at("request_id"), "r-1");
}

TEST_F(HandlersTest, EveryAllocator) {
  for (const auto& [alloc, dealloc] :
       {std::pair("alloc", "dealloc"), std::pair("allocate", "deallocate"),
        std::pair("alloc", "no")}) {
    spec_.reuse_instances = true;
    const std::string text =
        std::string(R"((module (memory (export "memory") 3) (global $at (mut i32) (i32.const 4096))
      (global $live (mut i32) (i32.const 0))
      (func (export ")") +
        alloc + R"(") (param i32) (result i32)
        (global.set $live (i32.add (global.get $live) (i32.const 1))) (global.get $at))
      (func (export ")" +
        dealloc + R"(") (param i32 i32)
        (global.set $live (i32.sub (global.get $live) (i32.const 1))))
      (func (export "run") (param i32 i32) (result i32) (local.get 0))))";
    ASSERT_TRUE(load(text).has_value());
    const Answer answer = call("POST", "/x", R"({"a":1})");
    EXPECT_EQ(boost::json::parse(answer.body).at("a"), 1) << alloc;
    worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  }
}

TEST_F(HandlersTest, BothResultConventionsAndEnvelopes) {
  ASSERT_TRUE(load(returning(std::string("\x0b\0\0\0", 4) + R"({"bare":12})")).has_value());
  EXPECT_EQ(call().body, R"({"bare":12})");
  ASSERT_TRUE(load(returning(R"({"bare":1} and more)")).has_value());
  EXPECT_EQ(call().body, R"({"bare":1})");
  ASSERT_TRUE(
      load(returning(R"({"status":201,"body":{"id":7},"headers":{"X-A":"b"}})")).has_value());
  const Answer created = call();
  EXPECT_EQ(created.status, 201);
  EXPECT_EQ(created.body, R"({"id":7})");
  EXPECT_EQ(created.headers.at("x-a"), "b");
  ASSERT_TRUE(
      load(returning(R"({"status":200,"body":"<p>","headers":{"Content-Type":"text/html"}})"))
          .has_value());
  EXPECT_EQ(call().body, "<p>");
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (i32.const 0))))")
                  .has_value());
  EXPECT_EQ(call().body, "null");
}

TEST_F(HandlersTest, AnswersThatAreNotValid) {
  for (const std::string_view data :
       {R"({"status":99,"body":1})", R"({"half":)", "nothing", "\xff\xff\xff\x7f{}",
        R"({"status":200,"headers":{"a":"b\r\nc: d"}})",
        R"({"status":200,"headers":{"a b":"c"}})"}) {
    ASSERT_TRUE(load(returning(data)).has_value()) << data;
    const Answer answer = call();
    EXPECT_EQ(answer.status, 502) << data;
    const auto error = boost::json::parse(answer.body).at("error");
    EXPECT_EQ(error.at("code"), "bad_response");
    EXPECT_EQ(error.at("request_id"), "r-1");
  }
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (i32.const -16))))")
                  .has_value());
  EXPECT_EQ(call().status, 502);
}

TEST_F(HandlersTest, StatusesWithoutABody) {
  for (const auto& [status, length] :
       {std::pair("204", ""), std::pair("205", "0"), std::pair("304", "")}) {
    ASSERT_TRUE(load(returning(std::string(R"({"status":)") + status + R"(,"body":{"a":1}})")));
    const Answer answer = call();
    EXPECT_EQ(std::to_string(answer.status), status);
    EXPECT_EQ(answer.body, "");
    const auto found = answer.headers.find("content-length");
    EXPECT_EQ(found == answer.headers.end() ? "" : found->second, length) << status;
  }
}

TEST_F(HandlersTest, HeadersThatNoHeadHolds) {
  const auto answer_to = [&](std::size_t count, std::size_t bytes) {
    boost::json::object headers;
    for (std::size_t i = 0; i < count; ++i)
      headers["x-" + std::to_string(i)] = std::string(bytes, 'a');
    EXPECT_TRUE(load(returning(
        boost::json::serialize(boost::json::object{{"status", 200}, {"headers", headers}}))));
    return call();
  };
  EXPECT_EQ(answer_to(100, 1).status, 200);
  EXPECT_EQ(answer_to(1, 32'000).status, 200);
  for (const auto& [count, bytes] : {std::pair(101, 1), std::pair(1, 33'000), std::pair(50, 700)}) {
    const Answer refused =
        answer_to(static_cast<std::size_t>(count), static_cast<std::size_t>(bytes));
    EXPECT_EQ(refused.status, 502);
    EXPECT_EQ(boost::json::parse(refused.body).at("error").at("code"), "bad_response");
  }
}

TEST_F(HandlersTest, ResultsAroundTheLimit) {
  spec_.body_limit = 1'000;
  // As a length, "1" and what lies behind it are 65,585.
  std::string module = returning(std::string("1\0\1\0", 4));
  module.replace(module.find(R"("memory") 1)"), 11, R"("memory") 2)");
  ASSERT_TRUE(load(module));
  const Answer one = call();
  EXPECT_EQ(one.status, 200) << one.body;
  EXPECT_EQ(one.body, "1");
  const std::string long_text = '"' + std::string(1'998, 'a') + '"';
  ASSERT_TRUE(load(returning(std::string("\xd0\x07\0\0", 4) + long_text)));
  EXPECT_EQ(call().status, 507);
  ASSERT_TRUE(load(returning(long_text)));
  EXPECT_EQ(call().status, 507);
}

TEST_F(HandlersTest, BadBodies) {
  ASSERT_TRUE(load(kEcho).has_value());
  EXPECT_EQ(call("POST", "/x", "{half").status, 400);
  EXPECT_EQ(call("POST", "/x", std::string(100, '[') + std::string(100, ']')).status, 400);
  EXPECT_EQ(call("POST", "/x", "\"\xff\"").status, 400);
  EXPECT_EQ(call("POST", "/x", std::string((1U << 20U) + 1, 'a'), "text/plain").status, 413);
  const Answer binary = call("POST", "/x", "\xff\x01", "application/octet-stream");
  EXPECT_EQ(boost::json::parse(binary.body).at("body_encoding"), "base64");
  EXPECT_EQ(boost::json::parse(binary.body).at("body"), "/wE=");
}

TEST_F(HandlersTest, TrapsAndLimits) {
  spec_.cpu_limit = milliseconds(30);
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) unreachable)))")
                  .has_value());
  EXPECT_EQ(call().status, 500);
  ASSERT_TRUE(load(R"((module (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (loop (br 0)) unreachable)))")
                  .has_value());
  const Answer busy = call();
  EXPECT_EQ(busy.status, 504);
  EXPECT_EQ(boost::json::parse(busy.body).at("error").at("code"), "cpu_limit");
  EXPECT_EQ(handlers_->stats().errors, 1);
  EXPECT_EQ(handlers_->stats().limit_hits, 1);
}

TEST_F(HandlersTest, InitDecides) {
  const auto init = [](int result, std::string_view allocator) {
    return returning("1", "(func (export \"init\") (result i32) (i32.const " +
                              std::to_string(result) + ")) (func (export \"" +
                              std::string(allocator) +
                              "\") (param i32) (result i32) (i32.const 8))");
  };
  EXPECT_TRUE(load(init(0, "alloc")).has_value());
  const auto refused = load(init(1, "alloc"));
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message, "init() of the plugin returned 1");
  EXPECT_TRUE(load(init(1, "allocate")).has_value()) << "1 is success in the current dialect";
}

TEST_F(HandlersTest, InitMayCallServicesAndAHandlerWaits) {
  ASSERT_TRUE(load(kStateful).has_value());
  EXPECT_EQ(state_.values.at("key"), R"({"a":1})");
  EXPECT_EQ(call().body, R"({"a":1})");
}

TEST_F(HandlersTest, WildPointersInHostCalls) {
  ASSERT_TRUE(load(R"((module
    (import "env" "state_get" (func $get (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "run") (param i32 i32) (result i32) (call $get (i32.const -8) (i32.const 100)))))")
                  .has_value());
  EXPECT_EQ(call().status, 500);
}

TEST_F(HandlersTest, DeniedServicesAnswerWithAnError) {
  ASSERT_TRUE(load(R"((module
    (import "env" "db_query" (func $q (param i32 i32) (result i32)))
    (import "env" "http_request" (func $h (param i32 i32 i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "select 1")
    (func (export "run") (param i32 i32) (result i32)
      (drop (call $h (i32.const 64) (i32.const 3) (i32.const 64) (i32.const 3) (i32.const 0) (i32.const 0)))
      (call $q (i32.const 64) (i32.const 8)))))")
                  .has_value());
  EXPECT_EQ(call().body, R"x({"rows":[],"error":"SQL is not permitted (permissions.sql)"})x");
}

TEST_F(HandlersTest, BothDialectsOfAnImport) {
  ASSERT_TRUE(load(R"((module
    (import "env" "db_query" (func $q (param i32 i32 i32 i32) (result i32)))
    (import "env" "log" (func $log (param i32 i32 i32)))
    (memory (export "memory") 1)
    (data (i32.const 64) "select 1")
    (func (export "run") (param i32 i32) (result i32)
      (call $log (i32.const 2) (i32.const 64) (i32.const 8))
      (call $q (i32.const 64) (i32.const 8) (i32.const 0) (i32.const 0)))))")
                  .has_value());
  EXPECT_EQ(call().body, R"x({"rows":[],"error":"SQL is not permitted (permissions.sql)"})x");
}

TEST_F(HandlersTest, UnknownImportIsALoadError) {
  const auto refused = load(R"((module (import "env" "open" (func (param i32)))
    (memory (export "memory") 1) (func (export "run") (param i32 i32) (result i32) (i32.const 0))))");
  ASSERT_FALSE(refused.has_value());
  EXPECT_TRUE(refused.error().message.contains("env.open")) << refused.error().message;
}

TEST_F(HandlersTest, Execute) {
  ASSERT_TRUE(
      load(returning("1", "(func (export \"execute\") (result i32) (i32.const 42))")).has_value());
  std::promise<Result<std::int32_t>> done;
  worker_.on_worker([&] {
    handlers_->execute(worker_.worker,
                       [&](Result<std::int32_t> result) { done.set_value(std::move(result)); });
  });
  EXPECT_EQ(done.get_future().get(), 42);
}

}  // namespace
}  // namespace heddle::route
