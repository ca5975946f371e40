#include "contracts/pw/plugin_log.h"

#include "contracts/pw/plugin_code.h"

namespace heddle::proxy_wasm {

void PluginLog::write(LogLevel level, std::string_view text, std::string_view request_id) {
  Log& log = code_.dependencies.log;
  const extension::PluginSpec& spec = code_.spec;
  const Nanoseconds second = monotonic_now() / 1'000'000'000;
  if (second != second_) {
    second_ = second;
    lines_ = 0;
    if (dropped_ > 0) {
      log.warn("plugin log lines dropped",
               {{"plugin", spec.name}, {"lines", dropped_}, {"limit", "log_lines_per_second"}});
      dropped_ = 0;
    }
  }
  // Counted before the level is looked at: a plugin must not learn to flood by lowering its voice.
  if (++lines_ > spec.log_lines_per_second) {
    if (dropped_++ == 0) code_.count_limit("log_lines_per_second");
    return;
  }
  if (!log.enabled(level)) return;
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.size() > spec.log_line_bytes) {
    text = text.substr(0, spec.log_line_bytes);
    code_.count_limit("log_line_bytes");
  }
  if (request_id.empty()) {
    log.write(level, text, {{"plugin", spec.name}, {"version", spec.version}});
  } else {
    log.write(level, text, {{"plugin", spec.name}, {"version", spec.version}, {"request_id", request_id}});
  }
}

}  // namespace heddle::proxy_wasm
