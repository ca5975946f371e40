#include "plugins/package.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "plugins/loader.h"

namespace heddle::plugins {

namespace fs = std::filesystem;

namespace {

bool is_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::path> modules_in(const fs::path& folder, std::error_code& error) {
  std::vector<fs::path> out;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    const fs::path& path = it->path();
    if (path.extension() == ".wasm" && !path.filename().native().starts_with('.') && is_file(path))
      out.push_back(path);
  }
  std::ranges::sort(out);
  return out;
}

std::vector<fs::path> modules_in(const fs::path& folder) {
  std::error_code ignored;
  return modules_in(folder, ignored);
}

Result<std::string> read_text(const fs::path& path) {
  auto bytes = Loader::read_path(path.string());
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (bytes->size() > kMaxManifestFile) {
    return fail(ErrorKind::kLimit, fmt::format("{}: is {} bytes long; a manifest has at most {}",
                                               path.string(), bytes->size(), kMaxManifestFile));
  }
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// A manifest.json counts for a module beside it when it names the module, or names none and no
// other module could be meant.
bool belongs_to(const std::string& manifest, const fs::path& module) {
  const std::string entry = wasm_entry_of(manifest);
  if (!entry.empty()) return fs::path(entry).lexically_normal() == module.filename();
  return module.filename() == kDefaultModule || modules_in(module.parent_path()).size() == 1;
}

// The manifest file of a module; empty: there is none.
fs::path manifest_beside(const fs::path& module) {
  fs::path own = fs::path(module).replace_extension(".json");
  if (is_file(own)) return own;
  const fs::path shared = module.parent_path() / kManifestFile;
  if (!is_file(shared)) return {};
  const auto text = read_text(shared);
  return text && belongs_to(*text, module) ? shared : fs::path{};
}

Result<fs::path> module_in(const fs::path& folder) {
  std::string entry;
  if (const fs::path manifest = folder / kManifestFile; is_file(manifest)) {
    auto text = read_text(manifest);
    if (!text) return std::unexpected(std::move(text.error()));
    entry = wasm_entry_of(*text);
  }
  if (!entry.empty()) {
    std::error_code error;
    const fs::path root = fs::weakly_canonical(folder, error);
    const fs::path file = fs::weakly_canonical(folder / entry, error);
    const fs::path inside = file.lexically_relative(root);
    if (error || inside.empty() || *inside.begin() == "..") {
      return fail(ErrorKind::kInvalidArgument,
                  fmt::format("{}: wasm_entry \"{}\" leads out of the folder; name a file in it",
                              (folder / kManifestFile).string(), entry));
    }
    return folder / entry;
  }
  if (is_file(folder / kDefaultModule)) return folder / kDefaultModule;
  const std::vector<fs::path> modules = modules_in(folder);
  if (modules.size() == 1) return modules.front();
  return fail(
      ErrorKind::kInvalidArgument,
      fmt::format("{}: is a folder with {}; name its module by wasm_entry in {}", folder.string(),
                  modules.empty() ? "no .wasm file" : "several .wasm files", kManifestFile));
}

// `sha256`: of the module, or of the archive that holds it.
void finish(Package& package, const std::string& sha256) {
  package.digest = sha256;
  if (!package.manifest) return;
  package.digest += sha256_hex(std::as_bytes(std::span(*package.manifest)));
}

Result<Package> read_module(const fs::path& path) {
  Package out;
  auto bytes = Loader::read_path(path.string());
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  out.module = std::move(*bytes);
  out.module_path = path.string();
  out.sha256 = sha256_hex(out.module);
  if (const fs::path manifest = manifest_beside(path); !manifest.empty()) {
    auto text = read_text(manifest);
    if (!text) return std::unexpected(std::move(text.error()));
    out.manifest = std::move(*text);
    out.manifest_path = manifest.string();
  }
  finish(out, out.sha256);
  return out;
}

// Whether a folder has a manifest that names no module, and no module either: a plugin of pages.
bool is_manifest_alone(const fs::path& folder) {
  const fs::path manifest = folder / kManifestFile;
  if (!is_file(manifest) || !modules_in(folder).empty()) return false;
  const auto text = read_text(manifest);
  return text && wasm_entry_of(*text).empty();
}

Result<Package> read_manifest_alone(const fs::path& folder) {
  const fs::path manifest = folder / kManifestFile;
  auto text = read_text(manifest);
  if (!text) return std::unexpected(std::move(text.error()));
  Package out;
  out.module_path = manifest.string();
  out.manifest_path = manifest.string();
  out.sha256 = sha256_hex(std::as_bytes(std::span(*text)));
  out.manifest = std::move(*text);
  finish(out, out.sha256);
  return out;
}

Result<Package> read_folder(const fs::path& path) {
  if (is_manifest_alone(path)) return read_manifest_alone(path);
  auto module = module_in(path);
  if (!module) return std::unexpected(std::move(module.error()));
  auto out = read_module(*module);
  const fs::path manifest = path / kManifestFile;
  if (!out || out->manifest_path == manifest || !is_file(manifest)) return out;
  auto text = read_text(manifest);
  if (!text) return std::unexpected(std::move(text.error()));
  out->manifest = std::move(*text);
  out->manifest_path = manifest.string();
  finish(*out, out->sha256);
  return out;
}

Result<Package> read_archive(const std::string& path) {
  auto bytes = Loader::read_path(path);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  auto content = read_zip(path, *bytes);
  if (!content) return std::unexpected(std::move(content.error()));
  Package out;
  out.sha256 = sha256_hex(*bytes);
  out.module = std::move(content->module);
  out.module_path = fmt::format("{}: {}", path,
                                out.module.empty() ? content->manifest_name : content->module_name);
  out.manifest = std::move(content->manifest);
  out.manifest_path = fmt::format("{}: {}", path, content->manifest_name);
  finish(out, out.sha256);
  return out;
}

}  // namespace

std::string wasm_entry_of(std::string_view manifest) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(manifest, error);
  if (error || !value.is_object()) return {};
  const boost::json::value* entry = value.get_object().if_contains("wasm_entry");
  return entry != nullptr && entry->is_string() ? std::string(entry->get_string()) : std::string();
}

Result<Package> read_package(const std::string& path) {
  if (is_folder(path)) return read_folder(path);
  if (fs::path(path).extension() == ".zip") return read_archive(path);
  return read_module(path);
}

std::vector<std::string> package_files(const std::string& path) {
  std::vector<std::string> out{path};
  fs::path module = path;
  if (is_folder(path)) {
    out.push_back((fs::path(path) / kManifestFile).string());
    const auto found = module_in(path);
    if (!found) return out;
    module = *found;
    out.push_back(module.string());
  }
  if (const fs::path manifest = manifest_beside(module); !manifest.empty()) {
    out.push_back(manifest.string());
  }
  return out;
}

bool is_package(const std::string& path, std::error_code& error) {
  const fs::path name(path);
  if (name.filename().native().starts_with('.')) return false;
  if (is_folder(name)) return is_file(name / kManifestFile) || modules_in(name, error).size() == 1;
  return (name.extension() == ".wasm" || name.extension() == ".zip") && is_file(name);
}

}  // namespace heddle::plugins
