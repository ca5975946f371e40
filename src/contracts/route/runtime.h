// What all guests of one version of a route plugin share: its settings, permissions, log and
// figures. Made by Handlers; workers only read it, but for the log and the figures, which any
// thread may use.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "contracts/route/dependencies.h"
#include "extension/plugin_contract.h"
#include "sandbox/instance.h"
#include "services/outbound_http.h"
#include "services/sql.h"

namespace heddle::route {

struct RouteManifest;

class Runtime {
 public:
  Runtime(const Dependencies& dependencies, const extension::PluginSpec& spec,
          const sandbox::Module& module, const RouteManifest& manifest);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  const extension::PluginSpec& spec() const { return spec_; }
  const services::Services& services() const { return services_; }
  sandbox::Limits limits() const;
  sandbox::SlotLine& slot_line() { return slot_line_; }
  // init() returns 1 for success in modules of the current Orbis SDK (0 in all).
  bool current_dialect() const { return current_dialect_; }

  services::SqlAccess sql_access() const { return sql_access_; }
  const std::shared_ptr<const services::HttpPermissions>& http_permissions() const {
    return http_permissions_;
  }
  // The JSON text of a configuration key; of all when the key is empty. Null: there is none.
  const std::string* config(std::string_view key) const;

  // A line of the plugin, within log_lines_per_second and log_line_bytes.
  void guest_line(LogLevel level, std::string_view text, std::string_view request_id);
  // A line of Heddle about the plugin.
  void log(LogLevel level, std::string_view message, std::string_view request_id);

  void count_call(std::string_view handler, const sandbox::CallCost& cost);
  void count_exchange() {
    exchanges_->add();
    ++exchange_count_;
  }
  void count_error(std::string_view reason, std::string message);
  void count_limit(std::string_view limit);
  // Logs and counts; the text is for the log.
  void count_trap(const sandbox::Trap& trap, std::string_view request_id);
  void count_instances(std::int64_t delta, std::int64_t bytes);
  extension::PluginStats stats() const;

 private:
  void read_config(const RouteManifest& manifest);
  bool admit_line();

  extension::PluginSpec spec_;
  services::Services services_;
  Log& log_;
  metrics::Registry& metrics_;
  sandbox::SlotLine& slot_line_;
  bool current_dialect_;
  services::SqlAccess sql_access_;
  std::shared_ptr<const services::HttpPermissions> http_permissions_;
  std::map<std::string, std::string, std::less<>> config_;

  std::shared_ptr<metrics::Histogram> duration_;
  std::shared_ptr<metrics::Counter> cpu_;
  std::shared_ptr<metrics::Counter> exchanges_;
  std::shared_ptr<metrics::Gauge> instances_gauge_;
  std::shared_ptr<metrics::Gauge> memory_gauge_;
  std::map<std::string, std::shared_ptr<metrics::Counter>, std::less<>> calls_;  // by handler
  std::atomic<std::int64_t> instances_{0};
  std::atomic<std::int64_t> memory_{0};
  std::atomic<std::uint64_t> call_count_{0};
  std::atomic<std::uint64_t> call_ns_{0};
  std::atomic<std::uint64_t> cpu_ns_{0};
  std::atomic<std::uint64_t> errors_{0};
  std::atomic<std::uint64_t> exchange_count_{0};
  std::atomic<std::uint64_t> limit_hits_{0};
  mutable std::mutex mutex_;
  std::string last_error_;  // guarded by mutex_

  std::atomic<std::int64_t> second_{0};
  std::atomic<std::uint64_t> lines_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace heddle::route
