// HTTP calls to other services (Proxy-Wasm specification 0.2.1, "HTTP calls").
#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>
#include <vector>

#include "contracts/proxy_wasm/header_rules.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/permitted_hosts.h"

namespace heddle::proxy_wasm {

void internal::warn_of_address(Vm& vm) {
  vm.log().warn_each_minute(PluginLog::Recurring::kAddress,
                            "the plugin gave a host call an address outside of its memory");
}

namespace {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

Status refuse(Vm& vm, std::string_view why, std::string_view upstream) {
  vm.log().write(LogLevel::kWarn, why, vm.request_id(), "upstream", upstream.substr(0, 200));
  return Status::kBadArgument;
}

// Nothing: no map, or a header that must not be sent.
std::optional<HeaderList> read_headers(std::string_view bytes, MapType type) {
  const auto pairs = parse_pairs(bytes);
  if (!pairs) return std::nullopt;
  HeaderList out;
  out.reserve(pairs->size());
  for (const auto& [name, value] : *pairs) {
    const std::string_view canonical = canonical_name(type, name);
    if (!is_allowed(type, canonical, value)) return std::nullopt;
    // Framing is ours.
    if (http::equals_ignoring_case(name, "transfer-encoding") ||
        http::equals_ignoring_case(name, "content-length")) {
      continue;
    }
    const bool again =
        canonical.starts_with(':') &&
        std::ranges::find(out, canonical, &HeaderList::value_type::first) != out.end();
    if (!again) out.emplace_back(canonical, value);
  }
  return out;
}

// An empty :authority is one: only its presence is asked for, as in Envoy. A request line needs the
// other two.
bool has(const HeaderList& headers, std::string_view name) {
  return std::ranges::any_of(headers, [&](const auto& each) {
    return http::equals_ignoring_case(each.first, name) &&
           (name == ":authority" || !each.second.empty());
  });
}

Status http_call(Vm& vm, GuestPtr upstream, GuestSize upstream_size, GuestPtr headers,
                 GuestSize headers_size, GuestPtr body, GuestSize body_size, GuestPtr trailers,
                 GuestSize trailers_size, std::int32_t timeout_ms, GuestPtr token_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto name = memory.view(upstream, upstream_size);
  const auto headers_view = memory.view(headers, headers_size);
  const auto body_view = memory.view(body, body_size);
  const auto trailers_view = memory.view(trailers, trailers_size);
  if (!name || !headers_view || !body_view || !trailers_view ||
      !memory.view(token_out, sizeof(GuestPtr))) {
    return Status::kInvalidMemoryAccess;
  }
  if (!vm.has_context()) return Status::kInternalFailure;
  if (timeout_ms < 0) return refuse(vm, "http_call with a negative time-out", *name);
  auto header_list = read_headers(*headers_view, MapType::kRequestHeaders);
  auto trailer_list = read_headers(*trailers_view, MapType::kRequestTrailers);
  if (!header_list || !trailer_list)
    return refuse(vm, "http_call with headers that HTTP does not allow", *name);
  for (const std::string_view needed : {":method", ":path", ":authority"}) {
    if (!has(*header_list, needed)) {
      return refuse(vm, "http_call without :method, :path or :authority", *name);
    }
  }
  extension::CallRequest request{.caller = vm.spec().name,
                                 .headers = std::move(*header_list),
                                 .body = std::string(*body_view),
                                 .trailers = std::move(*trailer_list),
                                 .timeout = std::chrono::milliseconds(timeout_ms)};
  auto token = vm.root().http_call(*name, is_permitted(vm.spec().permitted_hosts, *name),
                                   std::move(request));
  if (!token) {
    vm.log().write(LogLevel::kWarn, "http_call refused: " + token.error().message, vm.request_id(),
                   "upstream", name->substr(0, 200));
    return token.error().kind == ErrorKind::kNotFound ? Status::kBadArgument
                                                      : Status::kInternalFailure;
  }
  vm.instance().memory().store(token_out, *token);
  return Status::kOk;
}

// The status that belongs to the callback that is running: of a failed call. Otherwise OK and no
// message.
Status get_status(Vm& vm, GuestPtr code_out, GuestPtr data_out, GuestPtr size_out) {
  if (!vm.instance().memory().view(code_out, sizeof(std::uint32_t)))
    return Status::kInvalidMemoryAccess;
  const Vm::CallStatus status = vm.call_status();
  const Status given = vm.give(status.message, data_out, size_out);
  if (given == Status::kOk) vm.instance().memory().store(code_out, status.code);
  return given;
}

constexpr std::array kTable = {
    host_call<&http_call>("proxy_http_call"),
    host_call<&get_status>("proxy_get_status"),
};

}  // namespace

std::span<const HostFunction> call_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
