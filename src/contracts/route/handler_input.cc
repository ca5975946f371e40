#include "contracts/route/handler_input.h"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <map>
#include <optional>

#include "base/log.h"
#include "base/utf8.h"
#include "contracts/route/json_members.h"
#include "services/crypto.h"

namespace heddle::route {
namespace {

constexpr std::array<std::string_view, 11> kContextKeys = {
    "method", "path",    "params",   "query",      "headers",      "body",
    "user",   "user_id", "is_admin", "request_id", "body_encoding"};

using Fields = std::map<std::string, std::string, std::less<>>;

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Of a form: '+' is a space; what is not a valid escape stays as it is.
std::string decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && hex_digit(text[i + 1]) >= 0 &&
        hex_digit(text[i + 2]) >= 0) {
      out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

Fields query_fields(std::string_view query) {
  Fields out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string_view value = pair.substr(std::min(equals + 1, pair.size()));
    out.insert_or_assign(decode(pair.substr(0, equals)), decode(value));
  }
  return out;
}

void append_fields(std::string& out, const auto& fields) {
  out += '{';
  for (const auto& [name, value] : fields) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
  }
  out += '}';
}

// By name; those of one name are joined with commas.
void append_headers(std::string& out, const HandlerRequest& request) {
  std::vector<const std::pair<std::string, std::string>*> sorted;
  sorted.reserve(request.headers.size());
  for (const auto& header : request.headers) sorted.push_back(&header);
  // Those of one name stay in their order, which is that of their addresses.
  std::ranges::sort(sorted, {}, [](const auto* header) {
    return std::pair(std::string_view(header->first), header);
  });
  out += '{';
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const auto& [name, value] = *sorted[i];
    if (i > 0) out += ',';
    append_json_string(out, name);
    out += ':';
    if (i + 1 == sorted.size() || sorted[i + 1]->first != name) {
      append_json_string(out, value);
      continue;
    }
    std::string joined = value;
    for (; i + 1 < sorted.size() && sorted[i + 1]->first == name; ++i) {
      joined += ", ";
      joined += sorted[i + 1]->second;
    }
    append_json_string(out, joined);
  }
  out += '}';
}

std::string_view content_type(const HandlerRequest& request) {
  const auto found = std::ranges::find(request.headers, "content-type",
                                       [](const auto& header) { return header.first; });
  return found == request.headers.end() ? std::string_view() : std::string_view(found->second);
}

// The body's value as JSON text, and its keys when it is an object that is to be merged.
struct Body {
  std::string text = "null";
  std::string more;  // members that stand beside it
};

Result<Body> body_of(const HandlerRequest& request, std::string_view content_type, bool merge) {
  Body out;
  if (request.body.empty()) return out;
  if (!is_json_type(content_type)) {
    out.text.clear();
    if (is_utf8(request.body)) {
      append_json_string(out.text, request.body);
    } else {
      append_json_string(out.text, services::base64_of(request.body));
      out.more = R"(,"body_encoding":"base64")";
    }
    return out;
  }
  boost::system::error_code failed;
  boost::json::parse_options options;
  options.max_depth = kMaxJsonDepth;
  const boost::json::value value = boost::json::parse(request.body, failed, {}, options);
  if (failed) {
    return fail(ErrorKind::kInvalidArgument,
                "the body is not the JSON that its content type promises: " + failed.message());
  }
  out.text = request.body;
  if (!merge || !value.is_object()) return out;
  std::map<std::string, std::string_view> members;  // of a key that comes again the last
  for (auto& [key, member] : json_members(request.body)) {
    members.insert_or_assign(std::move(key), member);
  }
  for (const auto& [key, member] : members) {
    if (std::ranges::find(kContextKeys, key) != kContextKeys.end()) continue;
    out.more += ',';
    append_json_string(out.more, key);
    out.more += ':';
    out.more += member;
  }
  return out;
}

void append_user(std::string& out, const HandlerRequest& request) {
  out += R"(,"user":)";
  out += request.user_json.empty() ? "null" : request.user_json;
  out += R"(,"user_id":)";
  if (request.subject.empty()) {
    out += "null";
  } else {
    append_json_string(out, request.subject);
  }
  bool admin = false;
  if (!request.user_json.empty()) {
    boost::system::error_code failed;
    const auto user = boost::json::parse(request.user_json, failed);
    const auto* claim =
        failed || !user.is_object() ? nullptr : user.get_object().if_contains("is_admin");
    admin = claim != nullptr && claim->is_bool() && claim->get_bool();
  }
  out += admin ? R"(,"is_admin":true)" : R"(,"is_admin":false)";
}

}  // namespace

bool is_json_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  std::string lower(content_type);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  });
  return lower == "application/json" || lower == "text/json" || lower.ends_with("+json");
}

Result<std::string> handler_input(const HandlerRequest& request, bool merge_body) {
  const auto body = body_of(request, content_type(request), merge_body);
  if (!body) return std::unexpected(body.error());
  const std::size_t question = std::min(request.target.find('?'), request.target.size());

  std::string out = R"({"method":)";
  out.reserve(512 + body->text.size() + body->more.size());
  append_json_string(out, request.method);
  out += R"(,"path":)";
  append_json_string(out, std::string_view(request.target).substr(0, question));
  out += R"(,"params":)";
  append_fields(out, request.params);
  out += R"(,"query":)";
  append_fields(
      out,
      query_fields(
          std::string_view(request.target).substr(std::min(question + 1, request.target.size()))));
  out += R"(,"headers":)";
  append_headers(out, request);
  append_user(out, request);
  out += R"(,"request_id":)";
  append_json_string(out, request.request_id);
  out += R"(,"body":)";
  out += body->text;
  out += body->more;
  out += '}';
  return out;
}

}  // namespace heddle::route
