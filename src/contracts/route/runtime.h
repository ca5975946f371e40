// What all guests of one version of a route plugin share: its settings, permissions and record.
// Made by Handlers; workers only read it, but for the record, which any thread may use.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/route/dependencies.h"
#include "extension/plugin_contract.h"
#include "extension/plugin_record.h"
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

  extension::PluginRecord& record() { return record_; }
  const extension::PluginRecord& record() const { return record_; }
  // One call of this export. The record names handlers and execute().
  void count_call(std::string_view callback, const sandbox::CallCost& cost);
  // Logs and counts; the text is for the log.
  void count_trap(const sandbox::Trap& trap, std::string_view request_id);

 private:
  void read_config(const RouteManifest& manifest);

  extension::PluginSpec spec_;
  services::Services services_;
  sandbox::SlotLine& slot_line_;
  bool current_dialect_;
  services::SqlAccess sql_access_;
  std::shared_ptr<const services::HttpPermissions> http_permissions_;
  std::map<std::string, std::string, std::less<>> config_;
  std::vector<std::string> callbacks_;  // sorted
  extension::PluginRecord record_;
};

}  // namespace heddle::route
