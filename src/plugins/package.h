// What the `path` of a plugin stands for: a module (.wasm), perhaps with a manifest beside it, a
// folder, or a .zip of such a folder. Blocks; any thread. Nothing is ever unpacked to disk.
//
//   x.wasm                 the manifest, if any, is embedded, or x.json, or manifest.json beside it
//   folder/, x.zip         manifest.json and the module that its wasm_entry names (plugin.wasm, or
//                          the only .wasm there, when it names none); or a module alone; or a
//                          manifest alone, for a plugin that has nothing but pages. In a .zip all
//                          that may lie in one folder.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/result.h"

namespace heddle::plugins {

struct Package {
  std::vector<std::byte> module;        // empty: there is only a manifest
  std::string module_path;              // for messages: "notes.zip: plugin.wasm"
  std::optional<std::string> manifest;  // text of the file; an embedded one is not looked for
  std::string manifest_path;
  // Of the .wasm or .zip; of the module when the path is a folder, or of the manifest alone.
  std::string sha256;
  std::string digest;  // changes when module or manifest change
};

// Errors begin with the path and say what to do.
Result<Package> read_package(const std::string& path);

// The files whose change changes the package, the path itself first; fewer when it is broken.
std::vector<std::string> package_files(const std::string& path);

// Whether a file or folder of a plugin directory is a plugin: *.wasm, *.zip, or a folder with a
// manifest.json or a module. `error`: a folder that cannot be read, of which nobody knows.
bool is_package(const std::string& path, std::error_code& error);

// The `wasm_entry` of a manifest; empty when it has none, or is no manifest at all.
std::string wasm_entry_of(std::string_view manifest);

// package_zip.cc
struct ZipContent {
  std::vector<std::byte> module;  // empty: there is only a manifest
  std::string module_name;
  std::optional<std::string> manifest;
  std::string manifest_name;
};
Result<ZipContent> read_zip(const std::string& path, const std::vector<std::byte>& bytes);

inline constexpr std::size_t kMaxManifestFile = std::size_t{1} << 20U;
inline constexpr std::string_view kManifestFile = "manifest.json";
inline constexpr std::string_view kDefaultModule = "plugin.wasm";

}  // namespace heddle::plugins
