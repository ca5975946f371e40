// What guests may write, row by row, and what the host and the guest see of it.
#include "contracts/json_rpc/line_protocol.h"

#include <gtest/gtest.h>

#include <boost/json/value.hpp>
#include <string>
#include <vector>

#include "base/json_write.h"

namespace heddle::json_rpc {
namespace {

// Writes down every event as a line.
class Recorder final : public LineProtocol::Handler {
 public:
  void on_request(LineProtocol::Token token, std::string_view method,
                  const boost::json::value& params) override {
    note("request " + std::string(method) + " " + write_json(params));
    tokens.push_back(token);
  }
  void on_notification(std::string_view method, const boost::json::value& params) override {
    note("notification " + std::string(method) + " " + write_json(params));
  }
  void on_result(std::string result) override { note("result " + result); }
  void on_error(RpcError error) override {
    note("error " + std::to_string(error.code) + " " + error.message +
         (error.data.empty() ? "" : " " + error.data));
  }
  void on_violation(Violation violation, std::string_view /*detail*/) override {
    note("violation " + std::string(to_string(violation)));
  }
  void on_send(std::string line) override { sent += line; }

  std::string events;
  std::string sent;
  std::vector<LineProtocol::Token> tokens;

 private:
  void note(const std::string& event) { events += (events.empty() ? "" : " | ") + event; }
};

struct Row {
  std::string name;
  std::string input;
  std::string events;
};

class GuestOutputTest : public testing::TestWithParam<Row> {};

std::string events_of(const std::string& input, std::size_t step) {
  Recorder recorder;
  LineProtocol protocol(recorder, {.line = 200, .output = 1'000, .depth = 4});
  for (std::size_t at = 0; at < input.size(); at += step) {
    protocol.feed(std::string_view(input).substr(at, step));
  }
  protocol.end();
  return recorder.events;
}

TEST_P(GuestOutputTest, WholeAndByteByByte) {
  EXPECT_EQ(events_of(GetParam().input, GetParam().input.size() + 1), GetParam().events);
  EXPECT_EQ(events_of(GetParam().input, 1), GetParam().events);
}

const Row kRows[] = {
    {"Result",
     R"({"jsonrpc":"2.0","id":0,"result":{"a":1}})"
     "\n",
     R"(result {"a":1})"},
    {"ResultNull",
     R"({"jsonrpc":"2.0","id":0,"result":null})"
     "\n",
     "result null"},
    {"ANumberBeyondADouble",
     R"({"jsonrpc": "2.0","id":0,"result":[1e400,0e400]})"
     "\n",
     "result [1.7976931348623157e+308,0.0]"},
    {"ANumberBeyondADoubleAsItStands",
     R"({"jsonrpc":"2.0","id":0,"result":1e400})"
     "\n",
     "result 1e400"},
    {"NoNewlineAtTheEnd", R"({"jsonrpc":"2.0","id":0,"result":1})", "result 1"},
    {"CarriageReturnAndBlankLines", "\r\n \n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\r\n\n",
     "result 1"},
    {"KeysInAnyOrder", R"({"result":1,"id":0,"jsonrpc":"2.0"})", "result 1"},
    {"IdAfterTheResult", R"({"jsonrpc":"2.0","result":{"id":0},"id":0})", R"(result {"id":0})"},
    {"NumbersAsTheyWereWritten",
     R"({"jsonrpc":"2.0","id":0,"result":[1.50,123456789012345678901]})",
     "result [1.50,123456789012345678901]"},
    {"BlanksAroundTheResult", R"({"jsonrpc":"2.0","id":0,"result": "a\n" })", R"(result  "a\n" )"},
    {"ResultTwice", R"({"jsonrpc":"2.0","id":0,"result":1,"result":2})", "result 2"},
    {"NoResult", R"({"jsonrpc":"2.0","id":0,"result":})", "violation not_json"},
    {"ResultThatEndsInAnId", R"({"jsonrpc":"2.0","result":{"a":1,"id":0})", "violation not_json"},
    {"ResultBesideErrorNull", R"({"jsonrpc":"2.0","id":0,"result":1,"error":null})", "result 1"},

    {"ErrorWithNumber", R"({"jsonrpc":"2.0","id":0,"error":{"code":-32601,"message":"no"}})",
     "error -32601 no"},
    {"ErrorWithData",
     R"({"jsonrpc":"2.0","id":0,"error":{"code":7,"message":"no","data":{"x":[1]}}})",
     R"(error 7 no {"x":[1]})"},
    {"ErrorWithName",
     R"({"jsonrpc":"2.0","id":0,"error":{"code":"MethodNotFound","message":"Method not found"}})",
     "error -32601 Method not found"},
    {"ErrorAsText", R"({"jsonrpc":"2.0","id":0,"error":"LimitExceeded"})",
     "error -32005 Limit exceeded"},
    {"ErrorAsUnknownText", R"({"jsonrpc":"2.0","id":0,"error":"disk full"})",
     "error -32000 disk full"},
    {"ErrorCustom", R"({"jsonrpc":"2.0","id":0,"error":{"Custom":"disk full"}})",
     "error -32000 disk full"},
    {"ErrorOfUnknownForm", R"({"jsonrpc":"2.0","id":0,"error":[1]})",
     R"(error -32603 the plugin reported an error of unknown form {"cause":"plugin_error","detail":"[1]"})"},
    {"ErrorWithHugeCode", R"({"jsonrpc":"2.0","id":0,"error":{"code":1e30,"message":"no"}})",
     R"(error -32603 the plugin reported an error of unknown form {"cause":"plugin_error","detail":"{\"code\":1e+30,\"message\":\"no\"}"})"},
    {"ErrorCountsWhateverItsId", R"({"jsonrpc":"2.0","id":null,"error":"ParseError"})",
     "error -32700 Parse error"},
    {"ResultAndError", R"({"jsonrpc":"2.0","id":0,"result":1,"error":"ParseError"})",
     "violation not_json_rpc"},

    {"WrongId", R"({"jsonrpc":"2.0","id":1,"result":1})", "violation wrong_id"},
    {"IdAsText", R"({"jsonrpc":"2.0","id":"0","result":1})", "violation wrong_id"},
    {"NoId", R"({"jsonrpc":"2.0","result":1})", "violation wrong_id"},
    {"NothingCountsAfterAViolation",
     "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n",
     "violation wrong_id"},
    {"TwoAnswers",
     "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":2}\n",
     "result 1 | violation second_answer"},
    {"TextAfterTheAnswer",
     "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\nbye\n"
     R"({"jsonrpc":"2.0","id":4,"method":"log"})",
     "result 1 | violation not_json | request log null"},

    {"Print", "hello\n", "violation not_json"},
    {"PrintedNumber", "42\n", "violation not_json_rpc"},
    {"PrintedArray", "[1,2]\n", "violation not_json_rpc"},
    {"EmptyBatch", "[]\n", "violation not_json_rpc"},
    {"NoVersion", R"({"id":0,"result":1})", "violation not_json_rpc"},
    {"OldVersion", R"({"jsonrpc":"1.0","id":0,"result":1})", "violation not_json_rpc"},
    {"NeitherRequestNorAnswer", R"({"jsonrpc":"2.0","id":0})", "violation not_json_rpc"},
    {"Binary", std::string("\x00\xFF\xFE\x01\n", 5), "violation not_utf8"},
    {"NotUtf8InAString", "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":\"\xC3\x28\"}\n",
     "violation not_utf8"},
    {"TwoMessagesOnALine", R"({"jsonrpc":"2.0","id":0,"result":1}{"jsonrpc":"2.0"})",
     "violation not_json"},
    {"DeepNesting", R"({"jsonrpc":"2.0","id":0,"result":[[[[1]]]]})", "violation too_deep"},
    {"DeepNestingBeforeTheId", R"({"jsonrpc":"2.0","result":[[[[1]]]],"id":0})",
     "violation too_deep"},
    {"AsDeepAsAllowed", R"({"jsonrpc":"2.0","id":0,"result":[[[1]]]})", "result [[[1]]]"},
    {"LongLine", std::string(201, ' ') + "\n", "violation line_too_long"},
    {"LongLineAfterTheAnswer",
     "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n" + std::string(300, 'x') +
         "\n{\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n",
     "result 1 | violation line_too_long | notification n null"},
    {"TooMuchOutput",
     "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n" + std::string(1'000, '\n') +
         "{\"jsonrpc\":\"2.0\",\"method\":\"n\"}\n",
     "result 1 | violation output_too_long"},
    {"Nothing", "", ""},
    {"HalfALine", R"({"jsonrpc":"2.0")", "violation not_json"},

    {"Request", R"({"jsonrpc":"2.0","id":0,"method":"ping","params":null})", "request ping null"},
    {"RequestWithoutParams", R"({"jsonrpc":"2.0","id":0,"method":"ping"})", "request ping null"},
    {"RequestWithScalarParams", R"({"jsonrpc":"2.0","id":0,"method":"echo","params":7})",
     "request echo 7"},
    {"RequestWithTextId", R"({"jsonrpc":"2.0","id":"a","method":"m","params":[1]})",
     "request m [1]"},
    {"RequestWithBadId", R"({"jsonrpc":"2.0","id":{},"method":"m"})", "violation not_json_rpc"},
    {"MethodNoText", R"({"jsonrpc":"2.0","id":0,"method":1})", "violation not_json_rpc"},
    {"Notification", R"({"jsonrpc":"2.0","method":"progress","params":[50]})",
     "notification progress [50]"},
    {"Batch",
     R"([{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"b"},{"jsonrpc":"2.0","id":0,"result":3}])",
     "request a null | notification b null | result 3"},
};

INSTANTIATE_TEST_SUITE_P(Rows, GuestOutputTest, testing::ValuesIn(kRows),
                         [](const auto& info) { return info.param.name; });

class LineProtocolTest : public testing::Test {
 protected:
  void request(const std::string& id) {
    protocol_.feed(R"({"jsonrpc":"2.0","id":)" + id + R"(,"method":"m"})" + "\n");
  }
  Recorder recorder_;
  LineProtocol protocol_{recorder_, {}};
};

TEST_F(LineProtocolTest, ARequestIsOneLine) {
  protocol_.call("a\"b", "{\n  \"x\": [1,\r\n 2]\n}");
  EXPECT_EQ(
      recorder_.sent,
      "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"a\\\"b\",\"params\":{   \"x\": [1,   2] }}\n");
}

TEST_F(LineProtocolTest, NoParamsAreNull) {
  protocol_.call("m", "");
  EXPECT_EQ(recorder_.sent, "{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"m\",\"params\":null}\n");
}

TEST_F(LineProtocolTest, RequestsOfTheGuestAreAnsweredInAnyOrder) {
  request("0");
  request("1");
  request("\"x\"");
  protocol_.succeed(recorder_.tokens[2], "3");
  protocol_.fail(recorder_.tokens[0], {-32601, "Method not found"});
  protocol_.succeed(recorder_.tokens[1], "");
  EXPECT_EQ(recorder_.sent,
            "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"result\":3}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":0,\"error\":{\"code\":-32601,\"message\":\"Method not "
            "found\"}}\n"
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":null}\n");
  EXPECT_EQ(protocol_.open_requests(), 0U);
}

TEST_F(LineProtocolTest, IdsOfBothDirectionsAreIndependent) {
  protocol_.call("m", "1");
  request("0");
  protocol_.feed("{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":1}\n");
  EXPECT_EQ(recorder_.events, "request m null | result 1");
  recorder_.sent.clear();
  protocol_.succeed(recorder_.tokens[0], "2");
  EXPECT_EQ(recorder_.sent, "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":2}\n");
}

TEST_F(LineProtocolTest, ADuplicateIdIsRefusedAndTheFirstAnswered) {
  request("5");
  request("5");
  EXPECT_EQ(recorder_.tokens.size(), 1U);
  EXPECT_NE(recorder_.sent.find("\"code\":-32600"), std::string::npos);
  EXPECT_NE(recorder_.sent.find("duplicate_id"), std::string::npos);
  recorder_.sent.clear();
  protocol_.succeed(recorder_.tokens[0], "1");
  EXPECT_EQ(recorder_.sent, "{\"jsonrpc\":\"2.0\",\"id\":5,\"result\":1}\n");
  request("5");  // free again
  EXPECT_EQ(recorder_.tokens.size(), 2U);
}

TEST_F(LineProtocolTest, ARequestIsAnsweredOnce) {
  request("1");
  protocol_.succeed(recorder_.tokens[0], "1");
  const std::string once = recorder_.sent;
  protocol_.succeed(recorder_.tokens[0], "2");
  protocol_.fail(recorder_.tokens[0], {});
  EXPECT_EQ(recorder_.sent, once);
}

TEST_F(LineProtocolTest, ABatchIsAnsweredInOneLine) {
  protocol_.feed(
      R"([{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","method":"n"},{"jsonrpc":"2.0","id":2,"method":"b"}])"
      "\n");
  protocol_.succeed(recorder_.tokens[1], "22");
  EXPECT_EQ(recorder_.sent, "");
  protocol_.succeed(recorder_.tokens[0], "11");
  EXPECT_EQ(recorder_.sent,
            "[{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":22},{\"jsonrpc\":\"2.0\",\"id\":1,"
            "\"result\":11}]\n");
}

TEST_F(LineProtocolTest, ABatchOfNotificationsIsNotAnswered) {
  protocol_.feed("[{\"jsonrpc\":\"2.0\",\"method\":\"n\"}]\n");
  EXPECT_EQ(recorder_.sent, "");
}

}  // namespace
}  // namespace heddle::json_rpc
