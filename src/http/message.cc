#include "http/message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>
#include <vector>

namespace heddle::http {
namespace {

// Heads waiting to be used again, per thread.
struct HeadPool {
  static constexpr std::size_t kMax = 512;
  HeadPool() = default;
  HeadPool(const HeadPool&) = delete;
  HeadPool& operator=(const HeadPool&) = delete;
  ~HeadPool() { gone = true; }
  std::vector<std::unique_ptr<Head>> free;
  bool gone = false;  // the thread is ending
};

HeadPool& pool_of_thread() {
  thread_local HeadPool pool;
  return pool;
}

struct Reason {
  int status;
  std::string_view phrase;
};

// https://www.iana.org/assignments/http-status-codes
constexpr std::array kReasons = std::to_array<Reason>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {418, "I'm a teapot"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {510, "Not Extended"},
    {511, "Network Authentication Required"},
});

}  // namespace

std::string_view to_string(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp10:
      return "HTTP/1.0";
    case Protocol::kHttp11:
      return "HTTP/1.1";
    case Protocol::kHttp2:
      return "HTTP/2";
  }
  return "";
}

int Head::status() const {
  const std::string_view text = headers.get(":status").value_or("");
  int status = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  return error == std::errc{} && end == text.data() + text.size() ? status : 0;
}

void HeadRecycler::operator()(Head* head) const {
  std::unique_ptr<Head> owned(head);
  HeadPool& pool = pool_of_thread();
  if (pool.gone || pool.free.size() >= HeadPool::kMax) return;
  head->headers.clear();
  head->arena.clear();
  head->block = BlockRef();
  head->protocol = Protocol::kHttp11;
  head->upgrade = false;
  pool.free.push_back(std::move(owned));
}

HeadPtr make_head() {
  HeadPool& pool = pool_of_thread();
  if (pool.free.empty()) return HeadPtr(std::make_unique<Head>().release());
  HeadPtr head(pool.free.back().release());
  pool.free.pop_back();
  return head;
}

std::string_view reason_phrase(int status) {
  const auto found =
      std::lower_bound(kReasons.begin(), kReasons.end(), status,
                       [](const Reason& reason, int wanted) { return reason.status < wanted; });
  return found != kReasons.end() && found->status == status ? found->phrase : "";
}

}  // namespace heddle::http
