// Shared data and shared queues: specification v0.2.1 "Shared Key-Value Store", "Shared Queue"; per vm_id, across workers.
#include <array>

#include "contracts/pw/host_api.h"
#include "services/shared_data.h"
#include "services/shared_queue.h"

namespace heddle::proxy_wasm {
namespace {

HostStatus get_data(Instance& instance, GuestPtr key, GuestSize key_size, GuestPtr data_out, GuestPtr size_out,
                    GuestPtr cas_out) {
  Vm& vm = vm_of(instance);
  const auto name = text(instance, key, key_size);
  if (!name || !writable(instance, data_out) || !writable(instance, size_out) || !writable(instance, cas_out)) {
    return status(Status::kInvalidMemoryAccess);
  }
  if (!vm.code().spec.permit_shared_data) return status(Status::kNotFound);
  const auto value = vm.code().dependencies.shared_data.get(vm.code().spec.vm_id, *name);
  if (!value) return status(Status::kNotFound);
  if (!vm.give(value->bytes, data_out, size_out)) return status(Status::kInvalidMemoryAccess);
  return status(instance.memory().store(cas_out, value->cas) ? Status::kOk : Status::kInvalidMemoryAccess);
}

HostStatus set_data(Instance& instance, GuestPtr key, GuestSize key_size, GuestPtr value, GuestSize value_size,
                    std::uint32_t cas) {
  Vm& vm = vm_of(instance);
  const auto name = text(instance, key, key_size);
  const auto bytes = text(instance, value, value_size);
  if (!name || !bytes) return status(Status::kInvalidMemoryAccess);
  const PluginCode& code = vm.code();
  if (!code.spec.permit_shared_data) {
    vm.log().write(LogLevel::kWarn, "shared data is not permitted (permissions.shared_data)", vm.request_id());
    return status(Status::kOk);  // the Rust SDK knows no refusal here but a CAS mismatch, and would panic
  }
  const auto stored = code.dependencies.shared_data.set(code.spec.vm_id, *name, *bytes, cas);
  if (stored) return status(Status::kOk);
  if (stored.error().kind == ErrorKind::kConflict) return status(Status::kCasMismatch);
  code.count_limit("shared_data");
  vm.log().write(LogLevel::kError, "shared data: " + stored.error().message, vm.request_id());
  return status(Status::kCasMismatch);
}

HostStatus register_queue(Instance& instance, GuestPtr name, GuestSize name_size, GuestPtr id_out) {
  Vm& vm = vm_of(instance);
  const auto wanted = text(instance, name, name_size);
  if (!wanted || !writable(instance, id_out)) return status(Status::kInvalidMemoryAccess);
  const auto id = vm.register_queue(*wanted);
  if (!id) {
    vm.code().count_limit("shared_queues");
    instance.raise(sandbox::TrapReason::kHost, "register_shared_queue: " + id.error().message);
    return status(Status::kInternalFailure);
  }
  instance.memory().store(id_out, *id);
  return status(Status::kOk);
}

HostStatus resolve_queue(Instance& instance, GuestPtr vm_id, GuestSize vm_id_size, GuestPtr name, GuestSize name_size,
                         GuestPtr id_out) {
  Vm& vm = vm_of(instance);
  auto space = text(instance, vm_id, vm_id_size);
  const auto wanted = text(instance, name, name_size);
  if (!space || !wanted || !writable(instance, id_out)) return status(Status::kInvalidMemoryAccess);
  if (space->empty()) space = vm.code().spec.vm_id;
  const auto id = vm.code().dependencies.shared_queues.resolve(*space, *wanted);
  if (!id) return status(Status::kNotFound);
  instance.memory().store(id_out, *id);
  return status(Status::kOk);
}

HostStatus enqueue(Instance& instance, std::uint32_t queue, GuestPtr pointer, GuestSize size) {
  Vm& vm = vm_of(instance);
  const auto item = text(instance, pointer, size);
  if (!item) return status(Status::kInvalidMemoryAccess);
  const auto queued = vm.code().dependencies.shared_queues.enqueue(queue, *item);
  if (queued) {
    if (*queued > 0) vm.code().count_limit("shared_queue");  // the oldest items went
    return status(Status::kOk);
  }
  if (queued.error().kind == ErrorKind::kLimit) {
    vm.code().count_limit("shared_queue");
    vm.log().write(LogLevel::kError, queued.error().message + "; the item is dropped", vm.request_id());
    return status(Status::kOk);
  }
  return status(Status::kNotFound);
}

HostStatus dequeue(Instance& instance, std::uint32_t queue, GuestPtr data_out, GuestPtr size_out) {
  Vm& vm = vm_of(instance);
  if (!writable(instance, data_out) || !writable(instance, size_out)) return status(Status::kInvalidMemoryAccess);
  const auto item = vm.code().dependencies.shared_queues.dequeue(queue);
  if (!item) return status(Status::kNotFound);
  if (!*item) return status(Status::kEmpty);
  return status(vm.give(**item, data_out, size_out) ? Status::kOk : Status::kInvalidMemoryAccess);
}

constexpr std::array kTable = {
    sandbox::host_function<&get_data>("env", "proxy_get_shared_data"),
    sandbox::host_function<&set_data>("env", "proxy_set_shared_data"),
    sandbox::host_function<&register_queue>("env", "proxy_register_shared_queue"),
    sandbox::host_function<&resolve_queue>("env", "proxy_resolve_shared_queue"),
    sandbox::host_function<&enqueue>("env", "proxy_enqueue_shared_queue"),
    sandbox::host_function<&dequeue>("env", "proxy_dequeue_shared_queue"),
};

}  // namespace

std::span<const HostFunction> shared_functions() { return kTable; }

}  // namespace heddle::proxy_wasm
