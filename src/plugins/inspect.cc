#include "plugins/inspect.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <iterator>
#include <utility>

#include "base/json_write.h"
#include "plugins/loader.h"

namespace heddle::plugins {
namespace {

constexpr std::string_view kAbiPrefix = "proxy_abi_version_";

// "0.2.1" from the export proxy_abi_version_0_2_1, the newest of several.
std::string abi_version(const sandbox::Module& module) {
  std::string newest;
  for (const sandbox::Export& item : module.exports()) {
    if (!item.name.starts_with(kAbiPrefix)) continue;
    std::string version = item.name.substr(kAbiPrefix.size());
    std::ranges::replace(version, '_', '.');
    newest = std::max(newest, version);
  }
  return newest;
}

std::string type_of(sandbox::ExternKind kind, const sandbox::FunctionType& type) {
  if (kind == sandbox::ExternKind::kFunction) return sandbox::to_string(type);
  return std::string(sandbox::to_string(kind));
}

std::string size_text(std::uint64_t bytes) {
  if (bytes >= (1U << 20U))
    return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1U << 20U));
  if (bytes >= 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{} bytes", bytes);
}

// A name from the module, safe for a terminal: control characters as \xNN.
std::string printable(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

std::size_t Inspection::missing_imports() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(imports, [](const InspectedImport& item) { return !item.offered; }));
}

Result<Inspection> inspect(sandbox::Engine& engine,
                           std::span<extension::PluginContract* const> contracts,
                           const std::string& path) {
  auto package = read_package(path);
  if (!package) return std::unexpected(std::move(package.error()));
  if (package->module.empty()) {
    Inspection out;
    out.path = path;
    out.sha256 = package->sha256;
    out.kind = "route";
    out.manifest = *package->manifest;
    out.manifest_path = package->manifest_path;
    return out;
  }
  auto module = engine.compile(package->module, path);
  if (!module) {
    return std::unexpected(module_error(std::move(module.error()), path).within(path + ": "));
  }
  Inspection out;
  out.path = path;
  out.size = package->module.size();
  out.sha256 = package->sha256;
  out.abi_version = abi_version(**module);
  auto contract = std::ranges::find_if(
      contracts, [&](const auto* candidate) { return candidate->recognises(**module); });
  if (contract == contracts.end() && package->manifest) {
    contract = std::ranges::find_if(
        contracts, [](const auto* candidate) { return candidate->takes_manifest(); });
  }
  if (package->manifest) {
    out.manifest = std::move(*package->manifest);
    out.manifest_path = package->manifest_path;
  } else if (const auto embedded = (*module)->custom_section("manifest")) {
    out.manifest = *embedded;
    out.manifest_path = package->module_path + ", section manifest";
  }
  if (contract != contracts.end()) out.kind = (*contract)->kind();
  for (const sandbox::Import& import : (*module)->imports()) {
    // Of a module that no contract knows, an import that any of them offers is not what is wrong
    // with it.
    const bool offered = contract != contracts.end()
                             ? (*contract)->offers_import(import.module, import.name)
                             : std::ranges::any_of(contracts, [&](const auto* candidate) {
                                 return candidate->offers_import(import.module, import.name);
                               });
    out.imports.push_back({import, offered});
  }
  out.exports.assign((*module)->exports().begin(), (*module)->exports().end());
  out.initial_memory_bytes = (*module)->initial_memory_bytes();
  out.maximum_memory_bytes = (*module)->maximum_memory_bytes();
  out.custom_sections.assign((*module)->custom_sections().begin(),
                             (*module)->custom_sections().end());
  return out;
}

std::string to_text(const Inspection& inspection) {
  std::string out;
  const auto line = [&]<typename... Args>(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    out += '\n';
  };
  line("{}", inspection.path);
  line("  kind      {}", inspection.kind.empty() ? "unknown" : inspection.kind);
  if (!inspection.abi_version.empty()) line("  ABI       {}", inspection.abi_version);
  line("  size      {}", size_text(inspection.size));
  line("  sha256    {}", inspection.sha256);
  line("  memory    {} at start, {} at most", size_text(inspection.initial_memory_bytes),
       inspection.maximum_memory_bytes ? size_text(*inspection.maximum_memory_bytes)
                                       : "no limit of its own");
  line("  imports   {}", inspection.imports.size());
  for (const InspectedImport& item : inspection.imports) {
    line("  {} {}.{} {}", item.offered ? "   " : " ! ", printable(item.import.module),
         printable(item.import.name), type_of(item.import.kind, item.import.type));
  }
  if (const std::size_t missing = inspection.missing_imports(); missing > 0) {
    line("  {} of them (!) Heddle does not offer: it cannot be loaded", missing);
  }
  line("  exports   {}", inspection.exports.size());
  for (const sandbox::Export& item : inspection.exports) {
    line("      {} {}", printable(item.name), type_of(item.kind, item.type));
  }
  if (!inspection.custom_sections.empty())
    line("  sections  {}", inspection.custom_sections.size());
  for (const sandbox::CustomSection& section : inspection.custom_sections) {
    line("      {} {}", printable(section.name), size_text(section.size));
  }
  return out;
}

std::string to_json(const Inspection& inspection, const boost::json::object* manifest) {
  namespace json = boost::json;
  const auto text_or_null = [](const std::string& text) -> json::value {
    json::value out = nullptr;
    if (!text.empty()) out = text;
    return out;
  };
  json::array imports;
  for (const InspectedImport& item : inspection.imports) {
    imports.push_back({{"module", item.import.module},
                       {"name", item.import.name},
                       {"kind", sandbox::to_string(item.import.kind)},
                       {"type", type_of(item.import.kind, item.import.type)},
                       {"offered", item.offered}});
  }
  json::array exports;
  for (const sandbox::Export& item : inspection.exports) {
    exports.push_back({{"name", item.name},
                       {"kind", sandbox::to_string(item.kind)},
                       {"type", type_of(item.kind, item.type)}});
  }
  json::array sections;
  for (const sandbox::CustomSection& section : inspection.custom_sections) {
    sections.push_back({{"name", section.name}, {"size", section.size}});
  }
  json::value maximum = nullptr;
  if (inspection.maximum_memory_bytes) maximum = *inspection.maximum_memory_bytes;
  json::object out{
      {"path", inspection.path},
      {"kind", text_or_null(inspection.kind)},
      {"abi_version", text_or_null(inspection.abi_version)},
      {"size", inspection.size},
      {"sha256", inspection.sha256},
      {"memory", {{"initial_bytes", inspection.initial_memory_bytes}, {"maximum_bytes", maximum}}},
      {"missing_imports", inspection.missing_imports()},
      {"imports", std::move(imports)},
      {"exports", std::move(exports)},
      {"custom_sections", std::move(sections)}};
  if (manifest != nullptr) out["manifest"] = *manifest;
  return write_json(out);
}

}  // namespace heddle::plugins
