#include "contracts/proxy_wasm/shared_vms.h"

#include <algorithm>

namespace heddle::proxy_wasm {
namespace {

// Parts with their lengths, so that no two lists give the same key.
std::string key_of(const extension::PluginSpec& spec, const std::string& code) {
  std::string out;
  const auto part = [&out](const std::string& text) {
    out += std::to_string(text.size()) + ':' + text;
  };
  part(code);
  part(spec.vm_id);
  part(spec.vm_configuration);
  for (const auto& list : {spec.environment, spec.capabilities}) {
    out += std::to_string(list.size()) + ';';
    std::ranges::for_each(list, part);
  }
  return out;
}

}  // namespace

std::shared_ptr<VmPlaces> SharedVms::join(const extension::PluginSpec& spec,
                                          const std::string& code,
                                          const std::shared_ptr<const void>& version) {
  if (spec.vm_id.empty()) return std::make_shared<VmPlaces>();
  const std::lock_guard lock(mutex_);
  std::erase_if(shared_, [](const auto& item) { return item.second.expired(); });
  std::weak_ptr<VmPlaces>& known = shared_[key_of(spec, code)];
  auto places = known.lock();
  const bool others =
      places != nullptr && std::ranges::any_of(places->members_, [&](const auto& member) {
        return member.first != spec.name && !member.second.expired();
      });
  if (!others) known = places = std::make_shared<VmPlaces>();
  std::erase_if(places->members_, [](const auto& member) { return member.second.expired(); });
  places->members_.emplace_back(spec.name, version);
  return places;
}

}  // namespace heddle::proxy_wasm
