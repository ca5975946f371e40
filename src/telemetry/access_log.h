// The access log: one JSON object a line for every exchange and TCP connection, formatted on its
// worker and written by the log's thread.
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

// The line of a TCP connection.
struct ConnectionRecord {
  Nanoseconds time = 0;  // realtime, when the client had connected
  std::string_view request_id;
  std::string_view protocol;  // "TCP", "TLS"
  std::string_view listener;
  std::string_view details;  // why it ended; empty when both sides were done
  std::string_view flags;    // Envoy's short flags: UF, UC, DC
  std::string_view plugin;   // that closed it
  std::string_view upstream;
  std::string_view upstream_address;
  std::uint64_t bytes_in = 0;  // from the client
  std::uint64_t bytes_out = 0;
  Nanoseconds duration = 0;
  std::string_view remote;
};

// {"time":…,"method":…,…,"duration_ms":1.234,…}. Appends; allocates only when `out` must grow.
void append_access_line(std::string& out, const AccessRecord& record);
void append_access_line(std::string& out, const ConnectionRecord& record);

// One for each worker: it gathers lines and hands them to the log together, since handing over
// costs more than formatting. Not thread-safe.
class AccessLog {
 public:
  explicit AccessLog(Log& log) : log_(log) {}
  // Formats a line; it leaves with flush(), or when kBatch bytes are waiting.
  void write(const AccessRecord& record) { add(record); }
  void write(const ConnectionRecord& record) { add(record); }
  void flush();

 private:
  static constexpr std::size_t kBatch = std::size_t{16} * 1024;

  template <typename Record>
  void add(const Record& record) {
    if (!lines_.empty()) lines_ += '\n';
    append_access_line(lines_, record);
    if (lines_.size() >= kBatch) flush();
  }

  Log& log_;
  std::string lines_;
};

}  // namespace heddle::telemetry
