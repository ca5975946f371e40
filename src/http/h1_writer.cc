#include "http/h1_writer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <ctime>
#include <utility>

namespace heddle::http {
namespace {

// Room for the start line and the lines that the writer adds.
constexpr std::size_t kOwnLines = 256;
constexpr std::size_t kChunkHeadSize = 20;  // CRLF, 16 digits, CRLF

class Cursor {
 public:
  explicit Cursor(char* begin) : begin_(begin), next_(begin) {}
  void put(std::string_view text) {
    if (text.empty()) return;  // its pointer may be null
    std::memcpy(next_, text.data(), text.size());
    next_ += text.size();
  }
  void line(std::string_view name, std::string_view value) {
    put(name);
    *next_++ = ':';
    *next_++ = ' ';
    put(value);
    *next_++ = '\r';
    *next_++ = '\n';
  }
  void number(std::uint64_t value, int base = 10) {
    next_ = std::to_chars(next_, next_ + 20, value, base).ptr;
  }
  std::size_t size() const { return static_cast<std::size_t>(next_ - begin_); }

 private:
  char* begin_;
  char* next_;
};

bool is_pseudo(std::string_view name) {
  return !name.empty() && name.front() == ':';
}

enum class Treatment : std::uint8_t { kWrite, kSkip, kLength, kUpgrade, kDate };

Treatment treatment(std::string_view name) {
  switch (name.size()) {
    case 2:
      return name == "te" ? Treatment::kSkip : Treatment::kWrite;
    case 4:
      if (name == "date") return Treatment::kDate;
      return name == "host" ? Treatment::kSkip : Treatment::kWrite;
    case 7:
      return name == "upgrade" ? Treatment::kUpgrade : Treatment::kWrite;
    case 10:
      return name == "connection" || name == "keep-alive" ? Treatment::kSkip : Treatment::kWrite;
    case 14:
      return name == "content-length" ? Treatment::kLength : Treatment::kWrite;
    case 16:
      return name == "proxy-connection" ? Treatment::kSkip : Treatment::kWrite;
    case 17:
      return name == "transfer-encoding" ? Treatment::kSkip : Treatment::kWrite;
    default:
      return Treatment::kWrite;
  }
}

std::size_t size_bound(const HeaderMap& headers, const HeadRules& rules) {
  return headers.byte_size() + headers.size() * 4 + rules.connection.size() + kOwnLines;
}

// The header lines, the writer's own lines and the empty line; says how the body is framed.
Framing write_lines(Cursor& cursor, const HeaderMap& headers, const HeadRules& rules,
                    bool zero_length) {
  std::optional<std::uint64_t> length;
  bool has_date = false;
  const bool nominated = nominates_headers(headers);
  for (const HeaderMap::Entry& entry : headers) {
    if (is_pseudo(entry.name)) continue;
    const Treatment what = treatment(entry.name);
    switch (what) {
      case Treatment::kSkip:
        continue;
      case Treatment::kUpgrade:
        if (!rules.upgrade) continue;
        break;
      case Treatment::kLength: {
        const auto value = parse_length(entry.value);
        if (length || !value || !rules.length_allowed || rules.upgrade) continue;
        length = value;
        break;
      }
      case Treatment::kDate:
      case Treatment::kWrite:
        if (nominated && headers.has_token("connection", entry.name)) continue;
        has_date = has_date || what == Treatment::kDate;
        break;
    }
    cursor.line(entry.name, entry.value);
  }
  Framing framing;
  if (rules.upgrade) {
    cursor.put("connection: upgrade\r\n");
  } else {
    if (!rules.connection.empty()) cursor.line("connection", rules.connection);
    if (rules.body_allowed) {
      if (length) {
        if (*length > 0) framing = {BodyKind::kLength, *length};
      } else if (rules.end) {
        if (zero_length) cursor.put("content-length: 0\r\n");
      } else if (rules.chunked_allowed) {
        framing.kind = BodyKind::kChunked;
        cursor.put("transfer-encoding: chunked\r\n");
      } else {
        framing.kind = BodyKind::kUntilClose;
      }
    }
  }
  if (rules.add_date && !has_date) cursor.line("date", http_date());
  cursor.put("\r\n");
  return framing;
}

}  // namespace

char* OutputBlock::reserve(std::size_t size) {
  if (block_ && !block_->shared()) used_ = 0;  // everything written before is with the kernel
  if (!block_ || block_->capacity() - used_ < size) {
    block_ = BlockRef(Block::create(size));
    used_ = 0;
  }
  return block_->data() + used_;
}

void OutputBlock::commit(Buffer& out, std::size_t size) {
  out.append(Slice{block_, block_->data() + used_, size});
  used_ += size;
}

void OutputBlock::write(Buffer& out, std::string_view bytes) {
  std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
  commit(out, bytes.size());
}

Framing write_request_head(Buffer& out, OutputBlock& block, const HeaderMap& headers,
                           const HeadRules& rules) {
  Cursor cursor(block.reserve(size_bound(headers, rules)));
  const std::string_view method = headers.get(":method").value_or("GET");
  std::string_view path = headers.get(":path").value_or("/");
  if (path.empty()) path = "/";
  cursor.put(method);
  cursor.put(" ");
  cursor.put(path);
  cursor.put(" HTTP/1.1\r\n");
  auto authority = headers.get(":authority");
  if (!authority) authority = headers.get("host");
  cursor.line("host", authority.value_or(""));
  // RFC 9110 section 8.6: a length is only sent for methods that have content.
  const bool zero_length = method == "POST" || method == "PUT" || method == "PATCH";
  const Framing framing = write_lines(cursor, headers, rules, zero_length);
  block.commit(out, cursor.size());
  return framing;
}

Framing write_response_head(Buffer& out, OutputBlock& block, const HeaderMap& headers, int status,
                            const HeadRules& rules) {
  Cursor cursor(block.reserve(size_bound(headers, rules)));
  if (status == 200) {
    cursor.put("HTTP/1.1 200 OK\r\n");
  } else {
    cursor.put("HTTP/1.1 ");
    cursor.number(static_cast<std::uint64_t>(std::clamp(status, 100, 999)));
    cursor.put(" ");
    cursor.put(reason_phrase(status));
    cursor.put("\r\n");
  }
  const Framing framing = write_lines(cursor, headers, rules, true);
  block.commit(out, cursor.size());
  return framing;
}

BodyWriter::Outcome BodyWriter::write(Buffer& out, OutputBlock& block, Buffer&& data, bool end) {
  switch (framing_.kind) {
    case BodyKind::kNone: {
      const bool excess = !data.empty();
      data.clear();
      return excess ? Outcome::kExcess : Outcome::kGood;
    }
    case BodyKind::kUntilClose:
      out.append(std::move(data));
      return Outcome::kGood;
    case BodyKind::kLength: {
      const bool excess = data.size() > framing_.length;
      if (excess) data = data.split(static_cast<std::size_t>(framing_.length));
      framing_.length -= data.size();
      out.append(std::move(data));
      if (excess) return Outcome::kExcess;
      return end && framing_.length > 0 ? Outcome::kShort : Outcome::kGood;
    }
    case BodyKind::kChunked:
      break;
  }
  if (!data.empty()) {
    Cursor cursor(block.reserve(kChunkHeadSize));
    cursor.number(data.size(), 16);
    cursor.put("\r\n");
    block.commit(out, cursor.size());
    out.append(std::move(data));
    block.write(out, end ? "\r\n0\r\n\r\n" : "\r\n");
  } else if (end) {
    block.write(out, "0\r\n\r\n");
  }
  return Outcome::kGood;
}

void BodyWriter::write_trailers(Buffer& out, OutputBlock& block, const HeaderMap& trailers) {
  if (framing_.kind != BodyKind::kChunked) return;
  Cursor cursor(block.reserve(trailers.byte_size() + trailers.size() * 4 + kOwnLines));
  cursor.put("0\r\n");
  for (const HeaderMap::Entry& entry : trailers) {
    if (!is_pseudo(entry.name) && treatment(entry.name) == Treatment::kWrite)
      cursor.line(entry.name, entry.value);
  }
  cursor.put("\r\n");
  block.commit(out, cursor.size());
}

std::string_view http_date() {
  struct Cache {
    std::time_t second = 0;
    std::array<char, 32> text{};
    std::size_t size = 0;
  };
  thread_local Cache cache;
  timespec now{};
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  if (now.tv_sec != cache.second) {
    std::tm parts{};
    gmtime_r(&now.tv_sec, &parts);
    cache.second = now.tv_sec;
    cache.size =
        std::strftime(cache.text.data(), cache.text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
  }
  return {cache.text.data(), cache.size};
}

}  // namespace heddle::http
