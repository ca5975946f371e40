// The head of an HTTP message (or its trailers): headers, the arena that holds their bytes, and
// what the start line said beside them.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "base/arena.h"
#include "http/buffer.h"
#include "http/header_map.h"

namespace heddle::http {

enum class Protocol : std::uint8_t { kHttp10, kHttp11, kHttp2 };
std::string_view to_string(Protocol protocol);  // "HTTP/1.1"

struct Head {
  Arena arena;
  HeaderMap headers{arena};
  BlockRef block;  // the received bytes that headers point into, when parsed in place
  Protocol protocol = Protocol::kHttp11;
  bool upgrade = false;  // request: asks for an upgrade (Connection: upgrade + Upgrade); response:
                         // 101 answers it

  std::string_view method() const { return headers.get(":method").value_or(""); }
  std::string_view path() const { return headers.get(":path").value_or(""); }
  std::string_view authority() const { return headers.get(":authority").value_or(""); }
  int status() const;  // of :status; 0 when absent or not a number
};

// Returns the head to a per-thread free list, cleared.
struct HeadRecycler {
  void operator()(Head* head) const;
};
using HeadPtr = std::unique_ptr<Head, HeadRecycler>;
HeadPtr make_head();  // from the free list of this thread, or new

// "Not Found" for 404; "" for an unknown status.
std::string_view reason_phrase(int status);

}  // namespace heddle::http
