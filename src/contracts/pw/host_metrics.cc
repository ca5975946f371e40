// Metrics: specification v0.2.1 "Stats/metrics". Ids count from 0 in order of definition, as Loom's guide relies on; defining
// the same name again gives the same statistic.
#include <array>

#include "contracts/pw/host_api.h"
#include "services/plugin_metrics.h"

namespace heddle::proxy_wasm {
namespace {

HostStatus define(Instance& instance, std::uint32_t type, GuestPtr name, GuestSize name_size, GuestPtr id_out) {
  Vm& vm = vm_of(instance);
  const auto wanted = text(instance, name, name_size);
  if (!wanted || !writable(instance, id_out)) return status(Status::kInvalidMemoryAccess);
  if (type > static_cast<std::uint32_t>(services::PluginMetricType::kHistogram)) return status(Status::kBadArgument);
  auto metric = vm.code().dependencies.plugin_metrics.define(
      vm.code().spec.name, static_cast<services::PluginMetricType>(type), *wanted);
  if (!metric) {
    if (metric.error().kind == ErrorKind::kLimit) vm.code().count_limit("metrics");
    vm.log().write(LogLevel::kError, "define_metric: " + metric.error().message, vm.request_id());
    return status(Status::kBadArgument);
  }
  instance.memory().store(id_out, vm.define_metric(std::move(*metric)));
  return status(Status::kOk);
}

HostStatus increment(Instance& instance, std::uint32_t id, std::int64_t delta) {
  const services::PluginMetric* metric = vm_of(instance).metric(id);
  if (metric == nullptr) return status(Status::kNotFound);
  return status(metric->increment(delta) ? Status::kOk : Status::kBadArgument);
}

HostStatus record(Instance& instance, std::uint32_t id, std::uint64_t value) {
  const services::PluginMetric* metric = vm_of(instance).metric(id);
  if (metric == nullptr) return status(Status::kNotFound);
  metric->record(value);
  return status(Status::kOk);
}

HostStatus get(Instance& instance, std::uint32_t id, GuestPtr value_out) {
  const services::PluginMetric* metric = vm_of(instance).metric(id);
  if (metric == nullptr) return status(Status::kNotFound);
  std::uint64_t value = 0;
  if (!metric->get(value)) return status(Status::kBadArgument);
  return status(instance.memory().store(value_out, value) ? Status::kOk : Status::kInvalidMemoryAccess);
}

constexpr std::array kTable = {
    sandbox::host_function<&define>("env", "proxy_define_metric"),
    sandbox::host_function<&increment>("env", "proxy_increment_metric"),
    sandbox::host_function<&record>("env", "proxy_record_metric"),
    sandbox::host_function<&get>("env", "proxy_get_metric"),
};

}  // namespace

std::span<const HostFunction> metric_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
