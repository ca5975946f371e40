// Serialising of HTTP/1.1 heads, chunks and trailers. Hop-by-hop headers and framing are the
// writer's own: what the map says about them is not written, except a valid content-length where
// the message may have a body.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/buffer.h"
#include "http/h1_parser.h"
#include "http/header_map.h"

namespace heddle::http {

// Where small pieces of output are written: one block that several of them share, so that framing
// between body slices costs bytes and not blocks.
class OutputBlock {
 public:
  // Room for `size` contiguous bytes; commit() hands the used part to `out`.
  char* reserve(std::size_t size);
  void commit(Buffer& out, std::size_t size);
  void write(Buffer& out, std::string_view bytes);
  void release() { block_ = BlockRef(); }

 private:
  BlockRef block_;
  std::size_t used_ = 0;
};

// `connection` is "close", "keep-alive" or nothing.
struct HeadRules {
  bool end = false;             // no body follows
  bool body_allowed = true;     // false: the answer to HEAD, 204, 304, 1xx
  bool length_allowed = true;   // false: 1xx and 204
  bool chunked_allowed = true;  // false: the peer speaks HTTP/1.0
  bool upgrade = false;         // writes connection: upgrade and the upgrade entries
  bool add_date = false;        // when the map has none
  // NOLINTNEXTLINE(readability-redundant-member-init): without it designated initialisers warn
  std::string_view connection = {};
};

// Writes a request (the map begins with pseudo-headers) or a response head; returns how the body
// must be framed.
Framing write_request_head(Buffer& out, OutputBlock& block, const HeaderMap& headers,
                           const HeadRules& rules);
Framing write_response_head(Buffer& out, OutputBlock& block, const HeaderMap& headers, int status,
                            const HeadRules& rules);

// Frames the body of one message.
class BodyWriter {
 public:
  enum class Outcome : std::uint8_t {
    kGood,
    kExcess,  // more than the content-length: the rest was dropped
    kShort,   // ended before the content-length
  };

  void start(const Framing& framing) { framing_ = framing; }
  const Framing& framing() const { return framing_; }
  Outcome write(Buffer& out, OutputBlock& block, Buffer&& data, bool end);
  void write_trailers(Buffer& out, OutputBlock& block,
                      const HeaderMap& trailers);  // dropped when not chunked

 private:
  Framing framing_;
};

// "Sun, 06 Nov 1994 08:49:37 GMT", made once a second and thread.
std::string_view http_date();

}  // namespace heddle::http
