#include "contracts/proxy_wasm/contract.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>
#include <vector>

#include "contracts/proxy_wasm/capabilities.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/module_check.h"
#include "contracts/proxy_wasm/plugin.h"
#include "contracts/proxy_wasm/vm.h"

namespace heddle::proxy_wasm {
namespace {

using Table = std::span<const sandbox::HostFunction>;

const HostFunction* find_row(Table table, std::string_view module, std::string_view name) {
  const auto found = std::ranges::find_if(
      table, [&](const HostFunction& row) { return row.name == name && row.module == module; });
  return found == table.end() ? nullptr : &*found;
}

// Old SDKs declare some host calls without a result: those that this module imports so are offered
// so.
std::vector<HostFunction> imported_without_result(const sandbox::Module& module) {
  std::vector<HostFunction> out;
  for (const sandbox::Import& import : module.imports()) {
    if (import.kind != sandbox::ExternKind::kFunction || !import.type.results.empty()) continue;
    const HostFunction* row = find_row(functions_without_result(), import.module, import.name);
    if (row != nullptr) out.push_back(*row);
  }
  return out;
}

const HostFunction* replace_denied(const void* capabilities, std::string_view module,
                                   std::string_view name) {
  return static_cast<const Capabilities*>(capabilities)->stand_in(module, name);
}

Result<std::shared_ptr<const sandbox::LinkedModule>> link(
    sandbox::Engine& engine, std::shared_ptr<const sandbox::Module> module,
    const Capabilities& capabilities) {
  const std::vector<HostFunction> without_result = imported_without_result(*module);
  std::vector<Table> tables{Table(without_result)};
  for (const Table table : all_functions()) tables.push_back(table);
  return sandbox::LinkedModule::create(engine, std::move(module), tables,
                                       {.replace = &replace_denied, .context = &capabilities});
}

Result<void> check_memory(const sandbox::Module& module, const extension::PluginSpec& spec) {
  const std::uint64_t needed = module.initial_memory_bytes();
  if (needed <= spec.memory_limit) return {};
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20U;
  return fail(ErrorKind::kLimit,
              fmt::format("starts with {} KiB of memory, but memory_limit is {} KiB; set "
                          "`memory_limit: {}MiB` or more",
                          needed / 1024, spec.memory_limit / 1024, (needed + kMiB - 1) / kMiB));
}

// A root context for each configuration, in one VM that goes without on_done, as in Envoy. What
// cannot start here would not start on the workers.
Result<void> try_on_canary(const std::shared_ptr<Version>& version,
                           const std::vector<std::shared_ptr<Version>>& of_routes) {
  auto canary = Root::create(version, nullptr, nullptr);
  if (!canary) return std::unexpected(std::move(canary.error()));
  std::vector<std::shared_ptr<Root>> others;
  for (const auto& each : of_routes) {
    auto other = Root::join((*canary)->shared_vm(), each, nullptr);
    if (!other) {
      return std::unexpected(std::move(other.error())
                                 .within(fmt::format("with the config {} of a route: ",
                                                     each->spec.configuration->substr(0, 200))));
    }
    others.push_back(std::move(*other));
  }
  return {};
}

}  // namespace

std::array<Table, 11> all_functions() {
  return {header_functions(),  buffer_functions(),  property_functions(),     stream_functions(),
          call_functions(),    grpc_functions(),    shared_functions(),       metric_functions(),
          foreign_functions(), runtime_functions(), sandbox::wasi_functions()};
}

// Which vm_ids are in use: the shared data of one goes with the last plugin version that has it.
class Contract::Spaces : public std::enable_shared_from_this<Contract::Spaces> {
 public:
  explicit Spaces(services::SharedData& data) : data_(&data) {}

  std::shared_ptr<const void> use(const std::string& vm_id) {
    const std::lock_guard lock(mutex_);
    auto& known = uses_[vm_id];
    if (auto alive = known.lock()) return alive;
    auto use = std::make_shared<Use>(shared_from_this(), vm_id);
    known = use;
    return use;
  }
  void close() {
    const std::lock_guard lock(mutex_);
    data_ = nullptr;
  }

 private:
  struct Use {
    Use(std::shared_ptr<Spaces> owner, std::string id)
        : spaces(std::move(owner)), vm_id(std::move(id)) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() { spaces->release(vm_id); }
    std::shared_ptr<Spaces> spaces;
    std::string vm_id;
  };
  void release(const std::string& vm_id) {
    const std::lock_guard lock(mutex_);
    const auto found = uses_.find(vm_id);
    if (found == uses_.end() || !found->second.expired()) return;  // in use again
    uses_.erase(found);
    if (data_ != nullptr) data_->erase(vm_id);
  }

  std::mutex mutex_;
  services::SharedData* data_;  // null: the contract is gone
  std::map<std::string, std::weak_ptr<Use>> uses_;
};

Contract::Contract(const Dependencies& services)
    : services_(services),
      farewells_(std::make_shared<Farewells>()),
      spaces_(std::make_shared<Spaces>(services.shared_data)) {}

Contract::~Contract() {
  spaces_->close();
  farewells_->clear();
}

std::string_view Contract::kind() const {
  return "proxy_wasm";
}

bool Contract::recognises(const sandbox::Module& module) const {
  return has_abi_marker(module);
}

bool Contract::offers_import(std::string_view module, std::string_view name) const {
  return std::ranges::any_of(all_functions(),
                             [&](Table table) { return find_row(table, module, name) != nullptr; });
}

Result<std::shared_ptr<extension::LoadedPlugin>> Contract::load(
    const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) {
  auto traits = check_module(*module);
  if (!traits) return std::unexpected(std::move(traits.error()));
  if (auto fits = check_memory(*module, spec); !fits)
    return std::unexpected(std::move(fits.error()));
  const Capabilities capabilities(spec.capabilities, *module);
  if (auto known = capabilities.check(); !known) return std::unexpected(std::move(known.error()));
  capabilities.restrict(*traits);
  auto linked = link(services_.engine, module, capabilities);
  if (!linked) return std::unexpected(std::move(linked.error()));
  auto version = std::make_shared<Version>(services_, spec, *traits, farewells_);
  version->linked = std::move(*linked);
  version->shared_space = spaces_->use(spec.vm_id);
  std::vector<std::shared_ptr<Version>> of_routes;
  of_routes.reserve(spec.route_configurations.size());
  for (const std::string& configuration : spec.route_configurations)
    of_routes.push_back(std::make_shared<Version>(version, configuration));
  if (auto tried = try_on_canary(version, of_routes); !tried)
    return std::unexpected(std::move(tried.error()));
  version->vms = shared_vms_.join(spec, module->sha256(), version);
  for (const auto& each : of_routes) each->vms = version->vms;
  return std::make_shared<Plugin>(std::move(version), of_routes);
}

}  // namespace heddle::proxy_wasm
