// Shared data and shared queues (Proxy-Wasm specification 0.2.1), by vm_id, across workers and
// plugins.
#include <array>

#include "contracts/proxy_wasm/host_call.h"

namespace heddle::proxy_wasm {
namespace {

bool permitted(Vm& vm) {
  if (vm.spec().permit_shared_data) return true;
  vm.warn_once("the plugin uses shared data or queues, which permissions.shared_data denies");
  return false;
}

Status get_data(Vm& vm, GuestPtr key, GuestSize key_size, GuestPtr data_out, GuestPtr size_out,
                GuestPtr cas_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto name = memory.view(key, key_size);
  if (!name || !memory.view(cas_out, sizeof(std::uint32_t))) return Status::kInvalidMemoryAccess;
  if (!permitted(vm)) return Status::kNotFound;
  const auto value = vm.version().services.shared_data.get(vm.spec().vm_id, *name);
  if (!value) return Status::kNotFound;
  const Status given = vm.give(value->bytes, data_out, size_out);
  if (given == Status::kOk) vm.instance().memory().store(cas_out, value->cas);
  return given;
}

Status set_data(Vm& vm, GuestPtr key, GuestSize key_size, GuestPtr data, GuestSize size,
                std::uint32_t cas) {
  const GuestMemory memory = vm.instance().memory();
  const auto name = memory.view(key, key_size);
  const auto value = memory.view(data, size);
  if (!name || !value) return Status::kInvalidMemoryAccess;
  if (!permitted(vm)) return Status::kInternalFailure;
  const auto set = vm.version().services.shared_data.set(vm.spec().vm_id, *name, *value, cas);
  if (set && *set == 0) return Status::kOk;
  if (!set && set.error().kind == ErrorKind::kConflict) return Status::kCasMismatch;
  vm.stats().limit_hit(Limit::kSharedData);
  vm.log().warn_each_minute(
      PluginLog::Recurring::kSharedData,
      set ? "the shared data of the plugin's vm_id are full; keys not used for longest are dropped"
          : set.error().message,
      "vm_id", vm.spec().vm_id);
  return set ? Status::kOk : Status::kInternalFailure;
}

Status register_queue(Vm& vm, GuestPtr name, GuestSize name_size, GuestPtr id_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto text = memory.view(name, name_size);
  if (!text || !memory.view(id_out, sizeof(std::uint32_t))) return Status::kInvalidMemoryAccess;
  if (!permitted(vm)) return Status::kInternalFailure;
  const auto id = vm.version().services.shared_queues.register_queue(vm.spec().vm_id, *text,
                                                                     vm.root().queue_listener());
  if (!id) {
    vm.stats().limit_hit(Limit::kSharedQueue);
    vm.log().write(LogLevel::kWarn, id.error().message, vm.request_id());
    return Status::kInternalFailure;
  }
  memory.store(id_out, *id);
  return Status::kOk;
}

// An empty vm_id is the plugin's own.
Status resolve_queue(Vm& vm, GuestPtr vm_id, GuestSize vm_id_size, GuestPtr name,
                     GuestSize name_size, GuestPtr id_out) {
  const GuestMemory memory = vm.instance().memory();
  const auto space = memory.view(vm_id, vm_id_size);
  const auto text = memory.view(name, name_size);
  if (!space || !text || !memory.view(id_out, sizeof(std::uint32_t)))
    return Status::kInvalidMemoryAccess;
  if (!permitted(vm)) return Status::kNotFound;
  const auto id =
      vm.version().services.shared_queues.resolve(space->empty() ? vm.spec().vm_id : *space, *text);
  if (!id) return Status::kNotFound;
  memory.store(id_out, *id);
  return Status::kOk;
}

Status enqueue(Vm& vm, std::uint32_t queue, GuestPtr data, GuestSize size) {
  const auto item = vm.instance().memory().view(data, size);
  if (!item) return Status::kInvalidMemoryAccess;
  if (!permitted(vm)) return Status::kNotFound;
  const auto dropped = vm.version().services.shared_queues.enqueue(queue, *item);
  if (dropped && *dropped == 0) return Status::kOk;
  if (!dropped && dropped.error().kind == ErrorKind::kNotFound) return Status::kNotFound;
  // A full queue loses its oldest items: the SDKs know no status for it, and would take the plugin
  // down.
  vm.stats().limit_hit(Limit::kSharedQueue);
  if (dropped) return Status::kOk;
  vm.log().write(LogLevel::kWarn, dropped.error().message, vm.request_id());
  return Status::kInternalFailure;
}

Status dequeue(Vm& vm, std::uint32_t queue, GuestPtr data_out, GuestPtr size_out) {
  const GuestMemory memory = vm.instance().memory();
  if (!memory.view(data_out, sizeof(GuestPtr)) || !memory.view(size_out, sizeof(GuestSize))) {
    return Status::kInvalidMemoryAccess;
  }
  if (!permitted(vm)) return Status::kNotFound;
  const auto item = vm.version().services.shared_queues.dequeue(queue);
  if (!item) return Status::kNotFound;
  if (!*item) return Status::kEmpty;
  return vm.give(**item, data_out, size_out);
}

constexpr std::array kTable = {
    host_call<&get_data>("proxy_get_shared_data"),
    host_call<&set_data>("proxy_set_shared_data"),
    host_call<&register_queue>("proxy_register_shared_queue"),
    host_call<&resolve_queue>("proxy_resolve_shared_queue"),
    host_call<&enqueue>("proxy_enqueue_shared_queue"),
    host_call<&dequeue>("proxy_dequeue_shared_queue"),
};

}  // namespace

std::span<const HostFunction> shared_functions() {
  return kTable;
}

}  // namespace heddle::proxy_wasm
