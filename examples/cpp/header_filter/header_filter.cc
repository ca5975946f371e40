// Adds one header to every request and one to every response. Which ones, the configuration says:
//
//     request X-From: heddle
//     response X-Filter: cpp
//
// Either line may be absent; empty lines and lines that start with # are skipped.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "../common/proxy_wasm.h"

namespace {

using proxy_wasm::Action;
using proxy_wasm::LogLevel;
using proxy_wasm::Map;

struct Header {
  std::string name;
  std::string value;
};

struct Config {
  std::optional<Header> request;
  std::optional<Header> response;
};

// One VM may serve several plugin entries: each has its own root context and configuration, and
// each stream belongs to one of them. All callbacks run on one thread at a time.
struct State {
  std::unordered_map<uint32_t, Config> configs;         // by root context
  std::unordered_map<uint32_t, uint32_t> stream_roots;  // stream context to root context

  const Config& config_of(uint32_t stream) { return configs[stream_roots[stream]]; }
};

State& state() {
  static State instance;
  return instance;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string_view take_until(std::string_view& text, char separator) {
  const size_t end = text.find(separator);
  const std::string_view head = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return head;
}

bool parse_line(std::string_view line, Config& config) {
  std::string_view rest = line;
  const std::string_view direction = take_until(rest, ' ');
  if (rest.find(':') == std::string_view::npos) return false;
  const std::string_view name = trim(take_until(rest, ':'));
  if (name.empty()) return false;
  Header header{.name = std::string(name), .value = std::string(trim(rest))};
  if (direction == "request") {
    config.request = std::move(header);
  } else if (direction == "response") {
    config.response = std::move(header);
  } else {
    return false;
  }
  return true;
}

bool parse(std::string_view text, Config& config) {
  while (!text.empty()) {
    const std::string_view line = trim(take_until(text, '\n'));
    if (line.empty() || line.starts_with('#')) continue;
    if (!parse_line(line, config)) {
      proxy_wasm::log(LogLevel::kError,
                      "header_filter: expected 'request NAME: VALUE' or "
                      "'response NAME: VALUE', got: " +
                          std::string(line));
      return false;
    }
  }
  return true;
}

Action add(Map map, const std::optional<Header>& header) {
  if (header &&
      proxy_wasm::add_header(map, header->name, header->value) != proxy_wasm::Status::kOk) {
    proxy_wasm::log(LogLevel::kWarn, "header_filter: the host refused header " + header->name);
  }
  return Action::kContinue;
}

}  // namespace

PROXY_WASM_EXPORT(proxy_on_context_create)
void on_context_create(uint32_t context, uint32_t parent) {
  if (parent == 0) {
    state().configs.try_emplace(context);
  } else {
    state().stream_roots[context] = parent;
  }
}

PROXY_WASM_EXPORT(proxy_on_configure)
bool on_configure(uint32_t root, size_t size) {
  Config config;
  const auto text = proxy_wasm::get_buffer(proxy_wasm::Buffer::kPluginConfiguration, 0, size);
  if (!parse(text.value_or(""), config)) return false;
  state().configs[root] = std::move(config);
  return true;
}

PROXY_WASM_EXPORT(proxy_on_request_headers)
Action on_request_headers(uint32_t stream, uint32_t /*count*/, bool /*end_of_stream*/) {
  return add(Map::kRequestHeaders, state().config_of(stream).request);
}

PROXY_WASM_EXPORT(proxy_on_response_headers)
Action on_response_headers(uint32_t stream, uint32_t /*count*/, bool /*end_of_stream*/) {
  return add(Map::kResponseHeaders, state().config_of(stream).response);
}

PROXY_WASM_EXPORT(proxy_on_delete)
void on_delete(uint32_t context) {
  state().stream_roots.erase(context);
  state().configs.erase(context);
}
