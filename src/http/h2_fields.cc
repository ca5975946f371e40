#include "http/h2_fields.h"

#include "http/h1_writer.h"

namespace heddle::http {
namespace {

// Connection-specific headers; te stays, when it says no more than "trailers".
bool is_for_this_hop(std::string_view name, std::string_view value) {
  switch (name.size()) {
    case 2:
      return name == "te" && !equals_ignoring_case(value, "trailers");
    case 4:
      return name == "host";
    case 7:
      return name == "upgrade";
    case 10:
      return name == "connection" || name == "keep-alive";
    case 14:
      return name == "http2-settings";
    case 16:
      return name == "proxy-connection";
    case 17:
      return name == "transfer-encoding";
    default:
      return false;
  }
}

std::uint8_t* bytes(std::string_view text) {
  static char nothing = 0;  // nghttp2 copies from it, even none
  const char* const data = text.empty() ? &nothing : text.data();
  return reinterpret_cast<std::uint8_t*>(const_cast<char*>(data));  // it is only read
}

}  // namespace

void H2Fields::put(std::string_view name, std::string_view value) {
  fields_.push_back({.name = bytes(name),
                     .value = bytes(value),
                     .namelen = name.size(),
                     .valuelen = value.size(),
                     .flags = NGHTTP2_NV_FLAG_NONE});
}

H2Fields::Length H2Fields::put_regular(const HeaderMap& headers, bool length_allowed,
                                       bool websocket) {
  Length length;
  const bool nominated = nominates_headers(headers);
  for (const HeaderMap::Entry& entry : headers) {
    if (entry.name.empty() || entry.name.front() == ':') continue;
    const std::string_view value = trim(entry.value);
    if (is_for_this_hop(entry.name, value)) continue;
    if (nominated && headers.has_token("connection", entry.name)) continue;
    if (websocket && (entry.name == "sec-websocket-key" || entry.name == "sec-websocket-accept"))
      continue;
    if (entry.name == "content-length") {
      const Length parsed = parse_length(value);
      if (length || !parsed || !length_allowed) continue;
      length = parsed;
    }
    put(entry.name, value);
  }
  return length;
}

H2Fields::Length H2Fields::request(const HeaderMap& headers, std::string_view scheme,
                                   bool upgrade) {
  fields_.clear();
  put(":method", upgrade ? "CONNECT" : headers.get(":method").value_or("GET"));
  put(":scheme", scheme);
  auto authority = headers.get(":authority");
  if (!authority || authority->empty()) authority = headers.get("host");
  if (authority && !authority->empty()) put(":authority", *authority);
  std::string_view path = headers.get(":path").value_or("/");
  if (path.empty()) path = "/";
  put(":path", path);
  if (upgrade) put(":protocol", headers.get("upgrade").value_or("websocket"));
  return put_regular(headers, !upgrade, upgrade);
}

H2Fields::Length H2Fields::response(const HeaderMap& headers, std::string_view status,
                                    bool tunnel) {
  fields_.clear();
  put(":status", tunnel ? "200" : status);
  const bool informational = !tunnel && status.starts_with('1');
  const Length length = put_regular(headers, !tunnel && !informational && status != "204", tunnel);
  const bool has_date = headers.contains("date") && !headers.has_token("connection", "date");
  if (!informational && !has_date) put("date", http_date());
  return length;
}

void H2Fields::trailers(const HeaderMap& trailers) {
  fields_.clear();
  put_regular(trailers, false, false);
}

}  // namespace heddle::http
