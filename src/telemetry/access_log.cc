#include "telemetry/access_log.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace heddle::telemetry {
namespace {

constexpr std::size_t kKeepCapacity =
    std::size_t{64} * 1024;  // a line's memory above this is given back

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.begin(), digits.end(), value).ptr;
  out.append(digits.data(), end);
}

// Nanoseconds as milliseconds with three places.
void append_milliseconds(std::string& out, Nanoseconds duration) {
  const auto micros = static_cast<std::uint64_t>(std::max<Nanoseconds>(duration, 0)) / 1000;
  append_number(out, micros / 1000);
  const auto rest = static_cast<unsigned>(micros % 1000);
  const std::array<char, 4> fraction = {'.', static_cast<char>('0' + rest / 100),
                                        static_cast<char>('0' + rest / 10 % 10),
                                        static_cast<char>('0' + rest % 10)};
  out.append(fraction.data(), fraction.size());
}

// `key` with its comma, quotes and colon, so that it is appended in one piece.
void append_text(std::string& out, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  out.append(key);
  append_json_string(out, value);
}

}  // namespace

void append_access_line(std::string& out, const AccessRecord& record) {
  out += R"({"time":")";
  append_timestamp(out, record.time);
  out += '"';
  append_text(out, R"(,"request_id":)", record.request_id);
  append_text(out, R"(,"method":)", record.method);
  append_text(out, R"(,"path":)", record.path);
  append_text(out, R"(,"authority":)", record.authority);
  append_text(out, R"(,"protocol":)", record.protocol);
  out += R"(,"status":)";
  append_number(out, static_cast<std::uint64_t>(std::max(record.status, 0)));
  append_text(out, R"(,"details":)", record.details);
  append_text(out, R"(,"flags":)", record.flags);
  append_text(out, R"(,"route":)", record.route);
  append_text(out, R"(,"upstream":)", record.upstream);
  append_text(out, R"(,"upstream_address":)", record.upstream_address);
  out += R"(,"bytes_in":)";
  append_number(out, record.bytes_in);
  out += R"(,"bytes_out":)";
  append_number(out, record.bytes_out);
  out += R"(,"duration_ms":)";
  append_milliseconds(out, record.duration);
  append_text(out, R"(,"remote":)", record.remote);
  append_text(out, R"(,"user_agent":)", record.user_agent);
  append_text(out, R"(,"trace_id":)", record.trace_id);
  out += '}';
}

void append_access_line(std::string& out, const ConnectionRecord& record) {
  out += R"({"time":")";
  append_timestamp(out, record.time);
  out += '"';
  append_text(out, R"(,"request_id":)", record.request_id);
  append_text(out, R"(,"protocol":)", record.protocol);
  append_text(out, R"(,"listener":)", record.listener);
  append_text(out, R"(,"details":)", record.details);
  append_text(out, R"(,"flags":)", record.flags);
  append_text(out, R"(,"plugin":)", record.plugin);
  append_text(out, R"(,"upstream":)", record.upstream);
  append_text(out, R"(,"upstream_address":)", record.upstream_address);
  out += R"(,"bytes_in":)";
  append_number(out, record.bytes_in);
  out += R"(,"bytes_out":)";
  append_number(out, record.bytes_out);
  out += R"(,"duration_ms":)";
  append_milliseconds(out, record.duration);
  append_text(out, R"(,"remote":)", record.remote);
  out += '}';
}

void AccessLog::flush() {
  if (lines_.empty()) return;
  log_.write_raw(lines_);
  lines_.clear();
  if (lines_.capacity() > kKeepCapacity) std::string().swap(lines_);
}

}  // namespace heddle::telemetry
