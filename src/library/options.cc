#include "library/options.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <concepts>
#include <limits>
#include <span>

namespace heddle::library {
namespace {

using v1::HostOptions;
using v1::Json;
using v1::PluginOptions;

// ---- one value; false: of a wrong type or out of range

bool read(const Json& value, bool& out) {
  const auto given = value.boolean();
  if (given) out = *given;
  return given.has_value();
}

bool read(const Json& value, std::string& out) {
  if (value.is_text()) out = value.text();
  return value.is_text();
}

template <std::unsigned_integral T>
bool read(const Json& value, T& out) {
  const auto given = value.integer();
  if (!given || *given < 0 || static_cast<std::uint64_t>(*given) > std::numeric_limits<T>::max()) {
    return false;
  }
  out = static_cast<T>(*given);
  return true;
}

bool read(const Json& value, std::chrono::milliseconds& out) {
  const auto given = value.integer();
  if (given) out = std::chrono::milliseconds(*given);
  return given.has_value();
}

bool read(const Json& value, std::vector<std::string>& out) {
  if (!value.is_array()) return false;
  out.clear();
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (!value[i].is_text()) return false;
    out.emplace_back(value[i].text());
  }
  return true;
}

// ---- tables

template <typename Options>
struct Option {
  std::string_view key;
  bool (*take)(const Json& value, Options& options);
};

template <auto Member, typename Options>
bool take(const Json& value, Options& options) {
  return read(value, options.*Member);
}

constexpr auto kHostOptions = std::to_array<Option<HostOptions>>({
    {"max_instances", take<&HostOptions::max_instances>},
    {"threads", take<&HostOptions::threads>},
    {"interpret", take<&HostOptions::interpret>},
    {"cache_dir", take<&HostOptions::cache_dir>},
});

constexpr auto kPluginOptions = std::to_array<Option<PluginOptions>>({
    {"name", take<&PluginOptions::name>},
    {"timeout_ms", take<&PluginOptions::timeout>},
    {"cpu_limit_ms", take<&PluginOptions::cpu_limit>},
    {"memory_limit", take<&PluginOptions::memory_limit>},
    {"params_limit", take<&PluginOptions::params_limit>},
    {"output_limit", take<&PluginOptions::output_limit>},
    {"host_calls", take<&PluginOptions::host_calls>},
    {"pending_host_calls", take<&PluginOptions::pending_host_calls>},
    {"max_calls", take<&PluginOptions::max_calls>},
    {"max_queued_calls", take<&PluginOptions::max_queued_calls>},
    {"log_lines_per_second", take<&PluginOptions::log_lines_per_second>},
    {"log_line_bytes", take<&PluginOptions::log_line_bytes>},
    {"environment", take<&PluginOptions::environment>},
});

std::unexpected<v1::Error> wrong(std::string message) {
  return std::unexpected(
      v1::Error{.kind = v1::ErrorKind::kInvalidArgument, .message = std::move(message)});
}

template <typename Options>
v1::Result<Options> read_options(const char* text, std::span<const Option<Options>> table) {
  Options out;
  if (text == nullptr) return out;
  const auto given = Json::parse(text);
  if (!given) return wrong("options: " + given.error().message);
  if (!given->is_object()) return wrong("options must be a JSON object");
  for (const std::string_view key : given->keys()) {
    const auto row = std::ranges::find(table, key, &Option<Options>::key);
    if (row == table.end()) return wrong(fmt::format("options: there is no option \"{}\"", key));
    if (!row->take((*given)[key], out)) {
      return wrong(fmt::format("options: \"{}\" cannot be {}", key, (*given)[key].dump()));
    }
  }
  return out;
}

}  // namespace

v1::Result<HostOptions> read_host_options(const char* text) {
  return read_options<HostOptions>(text, kHostOptions);
}

v1::Result<PluginOptions> read_plugin_options(const char* text) {
  return read_options<PluginOptions>(text, kPluginOptions);
}

}  // namespace heddle::library
