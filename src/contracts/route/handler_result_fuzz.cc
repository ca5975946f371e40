// Whatever a guest's memory holds and wherever its handler points: what is found lies in the
// memory, is one JSON value within the limit, and becomes a response that no header or status can
// break.
#include <algorithm>
#include <boost/json.hpp>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "contracts/route/handler_result.h"
#include "contracts/route/json_members.h"

namespace {

using namespace heddle;

constexpr std::size_t kHead = 6;  // of the input: address, limit

void require(bool holds) {
  if (!holds) std::abort();
}

bool is_line(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return c == '\r' || c == '\n' || c == '\0'; });
}

// Also when no values were made, the answer is the one that they give.
void check_same(const route::GuestJson& result, const route::GuestJson& with_values) {
  const auto one = route::read_response(result);
  const auto other = route::read_response(with_values);
  require(one.has_value() == other.has_value());
  if (!one) return;
  require(one->status == other->status && one->headers == other->headers &&
          one->body == other->body);
}

void check_response(const route::GuestJson& result) {
  const auto response = route::read_response(result);
  if (!response) {
    require(response.error().kind == ErrorKind::kInvalidArgument &&
            is_line(response.error().message));
    return;
  }
  if (const auto* object = result.value.if_object(); object != nullptr) {
    for (const auto& [key, value] : route::json_members(result.text)) {
      boost::system::error_code failed;
      boost::json::parse_options options;
      options.max_depth = route::kMaxJsonDepth;
      (void)boost::json::parse(value, failed, {}, options);
      require(!failed && object->contains(key));
    }
    require(route::json_members(result.text).size() >= object->size());
  }
  require(response->status >= 200 && response->status <= 599);
  for (const auto& [name, value] : response->headers) {
    require(!name.empty() && is_line(name) && is_line(value));
    require(!name.contains(':') && !name.contains(' '));
    require(name != "content-length" && name != "transfer-encoding" && name != "connection");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < kHead) return 0;
  std::uint32_t address = 0;
  std::uint16_t limit = 0;
  std::memcpy(&address, data, sizeof address);
  std::memcpy(&limit, data + sizeof address, sizeof limit);
  std::string bytes(reinterpret_cast<const char*>(data) + kHead, size - kHead);
  const sandbox::GuestMemory memory(bytes.data(), bytes.size());

  const auto found = route::find_result(memory, address, limit);
  if (!found) {
    require(found.error().kind == ErrorKind::kInvalidArgument ||
            found.error().kind == ErrorKind::kLimit);
    return 0;
  }
  if (address == 0) {
    require(found->text == "null");
    return 0;
  }
  require(found->text.data() >= bytes.data() &&
          found->text.data() + found->text.size() <= bytes.data() + bytes.size());
  require(!found->text.empty() && found->text.size() <= limit);
  boost::system::error_code failed;
  boost::json::parse_options options;
  options.max_depth = route::kMaxJsonDepth;
  const auto again = boost::json::parse(found->text, failed, {}, options);
  require(!failed);
  check_response(*found);
  if (found->value.is_null()) {
    check_same(*found, {.text = found->text, .value = again, .prefixed = found->prefixed});
  } else {
    require(again.kind() == found->value.kind());
  }
  return 0;
}
