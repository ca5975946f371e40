// The access log: one JSON object a line for every exchange, formatted on its worker and written by
// the log's thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/log.h"

namespace heddle::telemetry {

// What a line tells. Views must live until the line is written. Empty texts are left out.
struct AccessRecord {
  Nanoseconds time = 0;  // realtime, when the head had arrived
  std::string_view request_id;
  std::string_view method;
  std::string_view path;  // with the query
  std::string_view authority;
  std::string_view protocol;  // "HTTP/1.1"
  int status = 0;             // 0: none was sent
  std::string_view details;   // "via_upstream", "route_not_found", …
  std::string_view flags;     // Envoy's short flags: UF, UT, NR, DC …
  std::string_view route;
  std::string_view upstream;
  std::string_view upstream_address;
  std::uint64_t bytes_in = 0;  // on the wire, heads included
  std::uint64_t bytes_out = 0;
  Nanoseconds duration = 0;
  std::string_view remote;  // "127.0.0.1:50123"
  std::string_view user_agent;
  std::string_view trace_id;
};

// {"time":…,"method":…,…,"duration_ms":1.234,…}. Appends; allocates only when `out` must grow.
void append_access_line(std::string& out, const AccessRecord& record);

// One for each worker: it gathers lines and hands them to the log together, since handing over
// costs more than formatting. Not thread-safe.
class AccessLog {
 public:
  explicit AccessLog(Log& log) : log_(log) {}
  // Formats a line; it leaves with flush(), or when kBatch bytes are waiting.
  void write(const AccessRecord& record);
  void flush();

 private:
  static constexpr std::size_t kBatch = std::size_t{16} * 1024;
  Log& log_;
  std::string lines_;
};

}  // namespace heddle::telemetry
