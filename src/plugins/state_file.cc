#include "plugins/state_file.h"

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "base/json_write.h"

namespace heddle::plugins {

namespace fs = std::filesystem;
namespace json = boost::json;

StateFile::StateFile(std::string path, Log& log) : path_(std::move(path)), log_(log) {
  if (!path_.empty()) read();
}

std::optional<bool> StateFile::enabled(std::string_view name, bool configured) const {
  const auto found = states_.find(name);
  if (found == states_.end() || found->second.configured != configured) return std::nullopt;
  return found->second.enabled;
}

void StateFile::set(std::string_view name, bool enabled, bool configured) {
  if (path_.empty()) return;
  if (enabled == configured) {
    states_.erase(std::string(name));
  } else {
    states_.insert_or_assign(std::string(name), State{enabled, configured});
  }
  write();
}

void StateFile::forget(std::string_view name) {
  if (states_.erase(std::string(name)) > 0) write();
}

void StateFile::read() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return;
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  boost::system::error_code error;
  const json::value value = json::parse(text, error);
  if (error || !value.is_array()) {
    log_.warn("the file of plugin states is broken and is not used", {{"path", path_}});
    return;
  }
  for (const json::value& item : value.get_array()) {
    const json::object* object = item.if_object();
    if (object == nullptr) continue;
    const json::value* name = object->if_contains("name");
    const json::value* state = object->if_contains("state");
    const json::value* configured = object->if_contains("configured");
    if (name == nullptr || !name->is_string() || state == nullptr || !state->is_string()) continue;
    states_.insert_or_assign(std::string(name->get_string()),
                             State{.enabled = state->get_string() != "disabled",
                                   .configured = configured == nullptr || !configured->is_bool() ||
                                                 configured->get_bool()});
  }
}

void StateFile::write() const {
  json::array list;
  for (const auto& [name, state] : states_) {
    list.push_back({{"name", name},
                    {"state", state.enabled ? "enabled" : "disabled"},
                    {"configured", state.configured}});
  }
  std::error_code error;
  fs::create_directories(fs::path(path_).parent_path(), error);
  const std::string temporary = path_ + ".new";
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << write_json(list) << '\n';
  file.close();
  if (file) fs::rename(temporary, path_, error);
  if (!file || error) {
    log_.error("the state of plugins cannot be written; it is lost at a restart",
               {{"path", path_}, {"error", error ? error.message() : "write failed"}});
  }
}

}  // namespace heddle::plugins
