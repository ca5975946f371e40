// What `heddle inspect FILE` says of a module or package: its kind, what it exports and needs, and
// what Heddle lacks of that.
#pragma once

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "extension/plugin_contract.h"
#include "sandbox/engine.h"
#include "sandbox/module.h"

namespace heddle::plugins {

struct InspectedImport {
  sandbox::Import import;
  bool offered = false;
};

struct Inspection {
  std::string path;
  std::uint64_t size = 0;  // bytes
  std::string sha256;
  std::string kind;         // empty: no contract knows it
  std::string abi_version;  // proxy_wasm: "0.2.1"; else empty
  std::vector<sandbox::Export> exports;
  std::vector<InspectedImport> imports;
  std::uint64_t initial_memory_bytes = 0;
  std::optional<std::uint64_t> maximum_memory_bytes;
  std::vector<sandbox::CustomSection> custom_sections;
  std::string manifest;       // text of the file beside the module, or embedded; empty: none
  std::string manifest_path;  // where it stands

  std::size_t missing_imports() const;
};

// Blocks. The error names the file and what is wrong with it.
Result<Inspection> inspect(sandbox::Engine& engine,
                           std::span<extension::PluginContract* const> contracts,
                           const std::string& path);

std::string to_text(const Inspection& inspection);  // lines for a terminal
// One object, one line; `manifest` as its member of this name.
std::string to_json(const Inspection& inspection, const boost::json::object* manifest = nullptr);

}  // namespace heddle::plugins
