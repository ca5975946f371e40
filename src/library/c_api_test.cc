// The C API: ownership, errors, callbacks.
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "contracts/json_rpc/test_guest.h"
#include "heddle.h"
#include "heddle/json.h"

namespace heddle {
namespace {

using json_rpc::Guest;

struct Text {
  explicit Text(char* text) : value(text == nullptr ? "(null)" : text) { heddle_free(text); }
  std::string value;
};

class CApiTest : public testing::Test {
 protected:
  void SetUp() override {
    host_ = heddle_host_new(R"({"max_instances":16,"threads":1})", &error_);
    ASSERT_NE(host_, nullptr);
  }
  void TearDown() override {
    heddle_error_delete(error_);
    heddle_host_delete(host_);
  }

  heddle_plugin* load(const Guest& guest, const char* options = nullptr) {
    const std::string text = guest.wat();
    heddle_plugin* plugin = heddle_host_load(host_, text.data(), text.size(), options, &error_);
    EXPECT_NE(plugin, nullptr) << (error_ != nullptr ? heddle_error_message(error_) : "");
    return plugin;
  }
  // The message of the error that was just set.
  std::string error() {
    if (error_ == nullptr) return "(none)";
    std::string out = heddle_error_message(error_);
    heddle_error_delete(error_);
    error_ = nullptr;
    return out;
  }

  heddle_host* host_ = nullptr;
  heddle_error* error_ = nullptr;
};

void echo(void* user, const char* params, heddle_reply* reply) {
  ++*static_cast<int*>(user);
  heddle_reply_success(reply, params);
}

void refuse(void* /*user*/, const char* /*params*/, heddle_reply* reply) {
  heddle_reply_failure(reply, -32001, "not here", R"({"key":1})");
}

void nonsense(void* /*user*/, const char* /*params*/, heddle_reply* reply) {
  heddle_reply_success(reply, "{no json");
}

void append_line(void* user, const char* plugin, const char* line) {
  *static_cast<std::string*>(user) += std::string(plugin) + ": " + line + "\n";
}

void keep_answer(void* user, const char* result, const heddle_error* error) {
  static_cast<std::promise<std::string>*>(user)->set_value(
      result != nullptr ? result : heddle_error_cause(error));
}

TEST_F(CApiTest, CallsAndFreesWhatItGot) {
  heddle_plugin* plugin = load(Guest().read().answer(R"({"a":1})"));
  EXPECT_EQ(Text(heddle_plugin_call(plugin, "run", "[1]", &error_)).value, R"({"a":1})");
  EXPECT_EQ(Text(heddle_plugin_call(plugin, "run", nullptr, nullptr)).value, R"({"a":1})");
  const auto stats = Json::parse(Text(heddle_plugin_stats(plugin)).value);
  EXPECT_EQ((*stats)["calls"].integer(), 2);
  EXPECT_EQ(error_, nullptr);
  heddle_plugin_delete(plugin);
}

TEST_F(CApiTest, ErrorsSayWhatAndWhy) {
  heddle_plugin* plugin = load(Guest().trap(), R"({"name":"trapping","timeout_ms":1000})");
  EXPECT_EQ(heddle_plugin_call(plugin, "run", "{}", &error_), nullptr);
  ASSERT_NE(error_, nullptr);
  EXPECT_EQ(heddle_error_get_kind(error_), HEDDLE_PLUGIN);
  EXPECT_EQ(heddle_error_code(error_), -32603);
  EXPECT_STREQ(heddle_error_cause(error_), "unreachable");
  EXPECT_TRUE(std::string(heddle_error_data(error_)).contains("unreachable"));
  EXPECT_TRUE(error().contains("trapped"));
  EXPECT_EQ(heddle_plugin_call(plugin, "run", "{", &error_), nullptr);
  EXPECT_TRUE(error().contains("not JSON"));
  EXPECT_EQ(heddle_plugin_call(plugin, nullptr, "{}", &error_), nullptr);
  EXPECT_EQ(error(), "method must not be NULL");
  EXPECT_EQ(heddle_plugin_call(plugin, "run", "{", nullptr), nullptr);
  heddle_plugin_delete(plugin);
}

TEST_F(CApiTest, OptionsAreChecked) {
  const auto told = [&](const char* options) {
    EXPECT_EQ(heddle_host_new(options, &error_), nullptr) << options;
    return error();
  };
  EXPECT_TRUE(told("{").contains("not JSON"));
  EXPECT_TRUE(told("[]").contains("object"));
  EXPECT_TRUE(told(R"({"treads":1})").contains("\"treads\""));
  EXPECT_TRUE(told(R"({"threads":"1"})").contains("\"threads\" cannot be \"1\""));
  EXPECT_TRUE(told(R"({"threads":-1})").contains("-1"));
  EXPECT_TRUE(told(R"({"threads":99})").contains("1 to 64"));
  EXPECT_EQ(heddle_host_load(host_, "", 0, nullptr, &error_), nullptr);
  EXPECT_FALSE(error().empty());
  EXPECT_EQ(heddle_host_load_file(host_, "/nowhere.wasm", nullptr, &error_), nullptr);
  EXPECT_EQ(heddle_error_get_kind(error_), HEDDLE_NOT_FOUND);
}

TEST_F(CApiTest, MethodsAreAskedAndReleased) {
  int asked = 0;
  int released = 0;
  std::pair<int*, int*> both(&asked, &released);
  const auto release = [](void* user) { ++*static_cast<std::pair<int*, int*>*>(user)->second; };
  const auto count = [](void* user, const char* params, heddle_reply* reply) {
    echo(static_cast<std::pair<int*, int*>*>(user)->first, params, reply);
  };
  ASSERT_TRUE(heddle_host_add_method(host_, "echo", count, &both, release, &error_));
  ASSERT_TRUE(heddle_host_add_method(host_, "refuse", refuse, nullptr, nullptr, &error_));
  ASSERT_TRUE(heddle_host_add_method(host_, "nonsense", nonsense, nullptr, nullptr, &error_));
  std::string log;
  heddle_host_set_log(host_, append_line, &log);
  heddle_plugin* plugin = load(
      Guest().read().ask("echo").read().ask("refuse").read().ask("nonsense").read().answer("1"));
  EXPECT_EQ(Text(heddle_plugin_call(plugin, "run", nullptr, &error_)).value, "1");
  EXPECT_EQ(asked, 1);
  EXPECT_TRUE(log.contains(R"("error":{"code":-32001,"message":"not here","data":{"key":1}})"));
  EXPECT_TRUE(log.contains("result is: not JSON")) << log;
  heddle_host_delete(std::exchange(host_, nullptr));
  EXPECT_EQ(released, 0);
  EXPECT_EQ(Text(heddle_plugin_call(plugin, "run", nullptr, &error_)).value, "1");
  heddle_plugin_delete(plugin);
  EXPECT_EQ(released, 1);
}

TEST_F(CApiTest, StartedCallsTellTheirEnd) {
  heddle_plugin* plugin = load(Guest().read().answer("5"));
  std::promise<std::string> answer;
  heddle_call* call = heddle_plugin_start(plugin, "run", "[]", keep_answer, &answer, &error_);
  ASSERT_NE(call, nullptr);
  heddle_call_delete(call);
  EXPECT_EQ(answer.get_future().get(), "5");
  EXPECT_EQ(heddle_plugin_start(plugin, "run", "[", keep_answer, &answer, &error_), nullptr);
  EXPECT_TRUE(error().contains("params are: not JSON"));
  heddle_plugin_delete(plugin);
}

TEST_F(CApiTest, StartedCallsCanBeCancelled) {
  heddle_plugin* plugin = load(Guest().read_all());
  std::promise<std::string> answer;
  heddle_call* call = heddle_plugin_start(plugin, "run", "[]", keep_answer, &answer, &error_);
  heddle_call_cancel(call);
  EXPECT_EQ(answer.get_future().get(), "cancelled");
  heddle_call_delete(call);
  heddle_plugin_delete(plugin);
}

TEST_F(CApiTest, Sessions) {
  heddle_plugin* plugin = load(Guest::counter());
  heddle_session* session = heddle_plugin_open_session(plugin, &error_);
  ASSERT_NE(session, nullptr);
  EXPECT_EQ(Text(heddle_session_call(session, "next", nullptr, &error_)).value, "0");
  EXPECT_EQ(Text(heddle_session_call(session, "next", nullptr, &error_)).value, "1");
  heddle_plugin_delete(plugin);
  EXPECT_EQ(Text(heddle_session_call(session, "next", nullptr, &error_)).value, "2");
  heddle_session_delete(session);
}

TEST(CApi, Version) {
  EXPECT_STREQ(heddle_version(), HEDDLE_VERSION_STRING);
}

}  // namespace
}  // namespace heddle
