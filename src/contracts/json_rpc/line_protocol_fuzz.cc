// Whatever a guest writes, in whatever pieces: one answer at most, every line that is sent is JSON,
// and every request is answered once.
#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "contracts/json_rpc/line_protocol.h"

namespace {

using namespace heddle::json_rpc;

class Checker final : public LineProtocol::Handler {
 public:
  void on_request(LineProtocol::Token token, std::string_view /*method*/,
                  const boost::json::value& /*params*/) override {
    tokens.push_back(token);
  }
  void on_notification(std::string_view /*method*/, const boost::json::value& /*params*/) override {
  }
  void on_result(std::string result) override {
    boost::json::parse(result);
    answer();
  }
  void on_error(RpcError error) override {
    answer();
    std::string text;
    append_error(text, error);
    boost::json::parse(text);
  }
  void on_violation(Violation /*violation*/, std::string_view /*detail*/) override {}
  void on_send(std::string line) override {
    if (!line.ends_with('\n') || line.find('\n') != line.size() - 1) std::abort();
    boost::json::parse(line);
  }
  std::vector<LineProtocol::Token> tokens;

 private:
  void answer() {
    if (answered_) std::abort();
    answered_ = true;
  }
  bool answered_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  Checker checker;
  LineProtocol protocol(checker, {.line = 300, .output = 2'000, .depth = 8});
  const std::size_t step = size == 0 ? 1 : data[0] % 17 + 1;
  for (std::size_t at = 0; at < size; at += step) protocol.feed(bytes.substr(at, step));
  protocol.end();
  bool failing = false;
  for (const auto token : checker.tokens) {
    if ((failing = !failing)) {
      protocol.fail(token, rpc_error(RpcError::kInternalError, "no", "cause", "detail"));
    } else {
      protocol.succeed(token, "{\"a\":\n1}");
    }
  }
  if (protocol.open_requests() != 0) std::abort();
  return 0;
}
