// `heddle embed MODULE MANIFEST [-o OUT]`: the manifest becomes the module's custom section.
#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "cli/commands.h"
#include "contracts/route/manifest.h"
#include "plugins/loader.h"
#include "sandbox/custom_section.h"

namespace heddle::cli {
namespace {

Result<std::string> read_file(const std::string& path) {
  auto bytes = plugins::Loader::read_path(path);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
}

// In one step: a server may be watching the folder.
Result<void> write_file(const std::string& path, const std::string& bytes) {
  const std::filesystem::path target(path);
  const std::filesystem::path temporary =
      target.parent_path() / ("." + target.filename().string() + ".new");
  std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
  file << bytes;
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(temporary, target, error);
  if (file && !error) return {};
  return fail(ErrorKind::kIo, fmt::format("{}: cannot be written; is there such a folder?", path));
}

Result<route::RouteManifest> run(const EmbedOptions& options) {
  auto module = read_file(options.module);
  if (!module) return std::unexpected(std::move(module.error()));
  auto text = read_file(options.manifest);
  if (!text) return std::unexpected(std::move(text.error()));
  auto manifest = route::parse_manifest(*text);
  if (!manifest)
    return std::unexpected(std::move(manifest.error()).within(options.manifest + ": "));
  auto out = sandbox::set_custom_section(*module, route::kManifestSection, *text);
  if (!out) return std::unexpected(std::move(out.error()).within(options.module + ": "));
  auto written = write_file(options.output.empty() ? options.module : options.output, *out);
  if (!written) return std::unexpected(std::move(written.error()));
  return manifest;
}

}  // namespace

int embed(const EmbedOptions& options) {
  const auto manifest = run(options);
  if (!manifest) {
    fmt::print(stderr, "heddle: {}\n", manifest.error().message);
    return kExitFailed;
  }
  fmt::print("{}: manifest of {} {}, {} routes\n",
             options.output.empty() ? options.module : options.output, manifest->name,
             manifest->version, manifest->routes.size());
  return kExitOk;
}

}  // namespace heddle::cli
