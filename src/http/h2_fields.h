// Heads and trailers on their way out over HTTP/2: the header map as nghttp2 takes it. Hop-by-hop
// headers and Host never leave (RFC 9113 section 8.2.2). Private to this folder.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "http/header_map.h"

namespace heddle::http {

// The list of one header block; its memory serves again. What it holds points into the map.
class H2Fields {
 public:
  // What a content-length among the headers promised.
  using Length = std::optional<std::uint64_t>;

  // `upgrade`: the map asks for an HTTP/1 upgrade, sent as extended CONNECT (RFC 8441).
  Length request(const HeaderMap& headers, std::string_view scheme, bool upgrade);
  // `tunnel`: the map is a 101, sent as the 200 of an extended CONNECT.
  Length response(const HeaderMap& headers, std::string_view status, bool tunnel);
  void trailers(const HeaderMap& trailers);

  const nghttp2_nv* data() const { return fields_.data(); }
  std::size_t size() const { return fields_.size(); }

 private:
  void put(std::string_view name, std::string_view value);
  // The regular headers; `what_more` names one that stays behind as well.
  Length put_regular(const HeaderMap& headers, bool length_allowed, bool websocket);

  std::vector<nghttp2_nv> fields_;
};

}  // namespace heddle::http
