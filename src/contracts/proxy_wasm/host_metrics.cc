// Metrics (Proxy-Wasm specification 0.2.1, "Metrics"). Ids count from 0 in order of definition,
// because Loom's guide relies on it.
#include <array>

#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

constexpr std::size_t kMaxName = 1024;

Status define_metric(Vm& vm, std::uint32_t type, GuestPtr name, GuestSize name_size,
                     GuestPtr id_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto text = memory.view(name, name_size);
  if (!text || !memory.view(id_out, sizeof(std::uint32_t))) return Status::kInvalidMemoryAccess;
  if (type > static_cast<std::uint32_t>(services::PluginMetricType::kHistogram) || text->empty() ||
      text->size() > kMaxName) {
    return Status::kBadArgument;
  }
  const auto id = vm.define_metric(static_cast<services::PluginMetricType>(type), *text);
  if (!id) {
    if (id.error().kind == ErrorKind::kLimit) vm.stats().limit_hit(Limit::kMetrics);
    vm.log().write(LogLevel::kWarn, id.error().message, vm.request_id());
    return id.error().kind == ErrorKind::kConflict ? Status::kBadArgument
                                                   : Status::kInternalFailure;
  }
  memory.store(id_out, *id);
  return Status::kOk;
}

Status increment_metric(Vm& vm, std::uint32_t id, std::int64_t delta) {
  const services::PluginMetric* metric = vm.metric(id);
  if (metric == nullptr) return Status::kNotFound;
  return metric->increment(delta) ? Status::kOk : Status::kBadArgument;
}

Status record_metric(Vm& vm, std::uint32_t id, std::uint64_t value) {
  const services::PluginMetric* metric = vm.metric(id);
  if (metric == nullptr) return Status::kNotFound;
  metric->record(value);
  return Status::kOk;
}

Status get_metric(Vm& vm, std::uint32_t id, GuestPtr value_out) {
  const GuestMemory memory = vm.instance().memory();
  if (!memory.view(value_out, sizeof(std::uint64_t))) return Status::kInvalidMemoryAccess;
  const services::PluginMetric* metric = vm.metric(id);
  if (metric == nullptr) return Status::kNotFound;
  std::uint64_t value = 0;
  if (!metric->get(value)) return Status::kBadArgument;
  memory.store(value_out, value);
  return Status::kOk;
}

constexpr std::array kTable = {
    host_call<&define_metric>("proxy_define_metric"),
    host_call<&increment_metric>("proxy_increment_metric"),
    host_call<&record_metric>("proxy_record_metric"),
    host_call<&get_metric>("proxy_get_metric"),
};

}  // namespace

std::span<const HostFunction> metric_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
