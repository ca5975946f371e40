#include "contracts/route/handler_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <optional>

#include "base/json_check.h"
#include "base/json_parse.h"
#include "base/json_write.h"
#include "contracts/route/handler_input.h"
#include "contracts/route/json_members.h"
#include "http/header_map.h"
#include "services/crypto.h"

namespace heddle::route {
namespace {

namespace json = boost::json;

constexpr std::size_t kPrefix = 4;
constexpr std::size_t kScratch = 2048;
// More does not fit into what HTTP/2 and common clients take as the head of a response.
constexpr std::size_t kMaxHeaders = 100;
constexpr std::size_t kMaxHeaderBytes = std::size_t{32} << 10U;  // of names and values
// Framing and connection are the gateway's.
constexpr std::array<std::string_view, 8> kNotTheirs = {
    "connection", "content-length",    "keep-alive", "te",
    "trailer",    "transfer-encoding", "upgrade",    "proxy-connection"};

// What a text begins with.
struct Scan {
  std::size_t length = 0;  // of the value and the white space behind it; 0: there is none
  json::value value;
  bool unfinished = false;
};

// What follows the value is not looked at.
Scan scan_value(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  std::array<unsigned char, kScratch> scratch;  // of the parser, not of the value
  json::stream_parser parser({}, options, scratch.data(), scratch.size());
  parser.reset(json::make_shared_resource<json::monotonic_resource>());
  boost::system::error_code failed;
  const std::size_t used = parser.write_some(text.data(), text.size(), failed);
  if (failed) return {};
  if (!parser.done()) parser.finish(failed);
  if (failed) return {.value = {}, .unfinished = true};
  return {.length = used, .value = parser.release()};
}

// The keys of an envelope stand in it as they are, unless it escapes characters that need none.
bool may_be_envelope(std::string_view text) {
  return text.contains(R"("status")") || text.contains('\\');
}

// Of a header, whose number may be beyond a double.
std::string written(json::value value) {
  keep_to_doubles(value);
  return write_json(value);
}

Result<void> add_header(HandlerResponse& out, std::string_view key, const json::value& value) {
  std::string name(key);
  std::ranges::transform(name, name.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  if (!http::is_token(name)) {
    return fail(ErrorKind::kInvalidArgument, fmt::format("header name {:?} is not allowed", key));
  }
  if (std::ranges::find(kNotTheirs, name) != kNotTheirs.end() || value.is_null()) return {};
  if (value.is_object()) {
    return fail(ErrorKind::kInvalidArgument, fmt::format("header {} is an object", name));
  }
  if (value.is_array()) {
    for (const json::value& one : value.get_array()) {
      if (auto added = add_header(out, key, one); !added) return added;
    }
    return {};
  }
  std::string text = value.is_string() ? std::string(value.get_string()) : written(value);
  if (!http::is_field_value(text)) {
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("value of header {} has a line break or another control character", name));
  }
  out.headers.emplace_back(std::move(name), std::move(text));
  return {};
}

Result<void> check_size(const HandlerResponse& response) {
  if (response.headers.size() > kMaxHeaders) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("headers has {} of them; at most {} are sent", response.headers.size(),
                            kMaxHeaders));
  }
  std::size_t bytes = 0;
  for (const auto& [name, value] : response.headers) bytes += name.size() + value.size();
  if (bytes <= kMaxHeaderBytes) return {};
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("headers are {} bytes; at most {} are sent", bytes, kMaxHeaderBytes));
}

const std::string* content_type(const HandlerResponse& response) {
  const auto found = std::ranges::find(response.headers, "content-type",
                                       [](const auto& header) { return header.first; });
  return found == response.headers.end() ? nullptr : &found->second;
}

// As the handler wrote it; of several the last, as everywhere.
std::string_view body_text(std::string_view envelope) {
  std::string_view out;
  for (const auto& [key, value] : json_members(envelope)) {
    if (key == "body") out = value;
  }
  return out;
}

Result<void> add_body(HandlerResponse& out, const json::object& envelope, std::string_view text) {
  const json::value* body = envelope.if_contains("body");
  if (body == nullptr) return {};
  const json::value* encoding = envelope.if_contains("body_encoding");
  const std::string* type = content_type(out);
  if (encoding != nullptr && encoding->is_string() && encoding->get_string() == "base64") {
    auto bytes = body->is_string() ? services::from_base64(body->get_string())
                                   : std::optional<std::string>();
    if (!bytes)
      return fail(ErrorKind::kInvalidArgument,
                  "body is not the base64 that body_encoding promises");
    out.body = std::move(*bytes);
    if (type == nullptr) out.headers.emplace_back("content-type", "application/octet-stream");
    return {};
  }
  if (body->is_string() && type != nullptr && !is_json_type(*type)) {
    out.body = std::string(body->get_string());
    return {};
  }
  out.body = body_text(text);
  if (type == nullptr) out.headers.emplace_back("content-type", "application/json");
  return {};
}

Result<HandlerResponse> read_envelope(const json::object& envelope, const json::value& status,
                                      std::string_view text) {
  HandlerResponse out;
  const std::optional<std::int64_t> number =
      status.is_int64() ? std::optional(status.get_int64()) : std::nullopt;
  if (!number || *number < 200 || *number > 599) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("status {} is not between 200 and 599", write_json(status)));
  }
  out.status = static_cast<int>(*number);
  if (const json::value* headers = envelope.if_contains("headers");
      headers != nullptr && !headers->is_null()) {
    if (!headers->is_object()) return fail(ErrorKind::kInvalidArgument, "headers is not an object");
    for (const auto& [name, value] : headers->get_object()) {
      if (auto added = add_header(out, name, value); !added) return std::unexpected(added.error());
    }
    if (auto fits = check_size(out); !fits) return std::unexpected(std::move(fits.error()));
  }
  if (auto added = add_body(out, envelope, text); !added) return std::unexpected(added.error());
  return out;
}

// JSON without a length before it.
Result<GuestJson> find_bare(const sandbox::GuestMemory& memory, sandbox::GuestPtr address,
                            std::size_t limit) {
  const std::size_t rest = memory.size() - address;
  const auto bounded = memory.view(address, static_cast<sandbox::GuestSize>(std::min(rest, limit)));
  Scan scan = scan_value(*bounded);
  if (scan.length > 0) {
    // The parser takes the white space behind a value too.
    const std::size_t last = bounded->substr(0, scan.length).find_last_not_of(" \t\r\n");
    return GuestJson{bounded->substr(0, last + 1), std::move(scan.value), false};
  }
  if (scan.unfinished && rest > limit) {
    return fail(ErrorKind::kLimit,
                fmt::format("the handler's result is larger than {} bytes", limit));
  }
  return fail(
      ErrorKind::kInvalidArgument,
      fmt::format("at the address {} that the handler returned is neither a length and that "
                  "much JSON, nor JSON{}",
                  address, scan.unfinished ? " (it does not end)" : ""));
}

}  // namespace

Result<GuestJson> find_result(const sandbox::GuestMemory& memory, sandbox::GuestPtr address,
                              std::size_t limit) {
  if (address == 0) return GuestJson{.text = "null", .value = {}};
  if (address >= memory.size()) {
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("the handler returned the address {}, which lies outside of its memory "
                            "of {} bytes",
                            address, memory.size()));
  }
  if (const auto length = memory.load<std::uint32_t>(address); length && *length > 0) {
    const std::uint64_t start = std::uint64_t{address} + kPrefix;
    const auto text = start + *length <= memory.size()
                          ? memory.view(static_cast<sandbox::GuestPtr>(start), *length)
                          : std::nullopt;
    if (text && text->size() > limit) {
      // Otherwise the four bytes are no length, but the beginning of a short result.
      if (!check_json(*text, kMaxJsonDepth)) {
        return fail(
            ErrorKind::kLimit,
            fmt::format("the handler's result of {} bytes is larger than {}", *length, limit));
      }
    } else if (text && !may_be_envelope(*text)) {
      if (!check_json(*text, kMaxJsonDepth))
        return GuestJson{.text = *text, .value = {}, .prefixed = true};
    } else if (text) {
      Scan scan = scan_value(*text);
      if (scan.length == text->size()) return GuestJson{*text, std::move(scan.value), true};
    }
  }
  return find_bare(memory, address, limit);
}

Result<HandlerResponse> read_response(const GuestJson& result) {
  if (const json::object* object = result.value.if_object()) {
    const json::value* status = object->if_contains("status");
    if (status != nullptr && (status->is_int64() || status->is_uint64()) &&
        (object->contains("body") || object->contains("headers"))) {
      return read_envelope(*object, *status, result.text);
    }
  }
  return HandlerResponse{.status = 200,
                         .headers = {{"content-type", "application/json"}},
                         .body = std::string(result.text)};
}

}  // namespace heddle::route
