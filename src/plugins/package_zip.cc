// Reads a module and its manifest out of a .zip, in memory. The archive is untrusted: names that
// would lead out of it, encryption, and sizes beyond the limits are refused, whatever it declares.
#include <fmt/format.h>
#include <zip.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "plugins/package.h"

namespace heddle::plugins {
namespace {

constexpr std::size_t kMaxEntries = 1'000;
constexpr std::size_t kMaxModule = std::size_t{256} << 20U;  // bytes, unpacked

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseFile {
  void operator()(zip_file_t* file) const { zip_fclose(file); }
};
using Archive = std::unique_ptr<zip_t, CloseArchive>;

class ZipReader {
 public:
  ZipReader(const std::string& path, Archive archive) : path_(path), archive_(std::move(archive)) {}

  Result<ZipContent> read() {
    if (auto listed = list(); !listed) return std::unexpected(std::move(listed.error()));
    ZipContent out;
    const std::string folder = common_folder();
    std::string entry;
    if (has(folder + std::string(kManifestFile))) {
      out.manifest_name = folder + std::string(kManifestFile);
      auto text = extract(out.manifest_name, kMaxManifestFile);
      if (!text) return std::unexpected(std::move(text.error()));
      out.manifest.emplace(reinterpret_cast<const char*>(text->data()), text->size());
      entry = wasm_entry_of(*out.manifest);
    }
    const bool any_module = std::ranges::any_of(
        names_, [](const std::string& name) { return name.ends_with(".wasm"); });
    if (out.manifest && entry.empty() && !any_module) return out;
    auto name = module_name(folder, entry);
    if (!name) return std::unexpected(std::move(name.error()));
    out.module_name = std::move(*name);
    auto module = extract(out.module_name, kMaxModule);
    if (!module) return std::unexpected(std::move(module.error()));
    out.module = std::move(*module);
    return out;
  }

 private:
  std::unexpected<Error> wrong(std::string_view text,
                               ErrorKind kind = ErrorKind::kInvalidArgument) const {
    return fail(kind, fmt::format("{}: {}", path_, text));
  }

  bool has(const std::string& name) const {
    return std::ranges::find(names_, name) != names_.end();
  }

  Result<void> list() {
    const zip_int64_t count = zip_get_num_entries(archive_.get(), 0);
    if (count < 0 || static_cast<std::size_t>(count) > kMaxEntries) {
      return wrong(fmt::format("has {} files; a plugin has at most {}", count, kMaxEntries),
                   ErrorKind::kLimit);
    }
    for (zip_int64_t i = 0; i < count; ++i) {
      const char* name = zip_get_name(archive_.get(), static_cast<zip_uint64_t>(i), 0);
      if (name == nullptr) return wrong("is damaged; pack it again");
      const std::string text = name;
      if (text.starts_with('/') || text.contains('\\') || ("/" + text + "/").contains("/../")) {
        return wrong(fmt::format("has a file \"{}\" that lies outside of it; pack it again", text));
      }
      names_.push_back(text);
    }
    return {};
  }

  // "notes/" when everything lies in one folder, else "".
  std::string common_folder() const {
    if (names_.empty()) return {};
    const std::string& first = names_.front();
    const std::size_t slash = first.find('/');
    if (slash == std::string::npos) return {};
    const std::string folder = first.substr(0, slash + 1);
    const bool all = std::ranges::all_of(
        names_, [&](const std::string& name) { return name.starts_with(folder); });
    return all ? folder : std::string();
  }

  Result<std::string> module_name(const std::string& folder, const std::string& entry) const {
    if (!entry.empty()) {
      std::string name = folder + entry;
      if (has(name)) return name;
      return wrong(fmt::format("has no file \"{}\", which its wasm_entry names", entry));
    }
    std::string usual = folder + std::string(kDefaultModule);
    if (has(usual)) return usual;
    std::vector<std::string> modules;
    for (const std::string& name : names_) {
      const bool here = name.starts_with(folder) && !name.substr(folder.size()).contains('/');
      if (here && name.ends_with(".wasm")) modules.push_back(name);
    }
    if (modules.size() == 1) return modules.front();
    return wrong(fmt::format("has {}; name its module by wasm_entry in {}",
                             modules.empty() ? "no .wasm file" : "several .wasm files",
                             kManifestFile));
  }

  // Reads to the limit and not further, since the size that an archive declares may be a lie.
  Result<std::vector<std::byte>> extract(const std::string& name, std::size_t limit) const {
    const std::unique_ptr<zip_file_t, CloseFile> file(zip_fopen(archive_.get(), name.c_str(), 0));
    if (!file) {
      return wrong(fmt::format("{}: {}", name, zip_error_strerror(zip_get_error(archive_.get()))));
    }
    constexpr std::size_t kStep = std::size_t{64} << 10U;
    std::vector<std::byte> out;
    while (true) {
      const std::size_t size = out.size();
      out.resize(size + kStep);
      const zip_int64_t count = zip_fread(file.get(), out.data() + size, kStep);
      if (count < 0) return wrong(fmt::format("{}: is damaged; pack it again", name));
      out.resize(size + static_cast<std::size_t>(count));
      if (count == 0) break;
      if (out.size() > limit) {
        return wrong(fmt::format("{}: is larger than {} bytes unpacked", name, limit),
                     ErrorKind::kLimit);
      }
    }
    if (out.empty()) return wrong(fmt::format("{}: is empty", name));
    return out;
  }

  const std::string& path_;
  Archive archive_;
  std::vector<std::string> names_;
};

}  // namespace

Result<ZipContent> read_zip(const std::string& path, const std::vector<std::byte>& bytes) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(bytes.data(), bytes.size(), 0, &error);
  Archive archive(source != nullptr
                      ? zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, &error)
                      : nullptr);
  if (!archive) {
    const std::string reason = zip_error_strerror(&error);
    if (source != nullptr) zip_source_free(source);
    zip_error_fini(&error);
    return fail(ErrorKind::kInvalidArgument,
                fmt::format("{}: is not a .zip that can be read: {}; pack it again", path, reason));
  }
  zip_error_fini(&error);
  return ZipReader(path, std::move(archive)).read();
}

}  // namespace heddle::plugins
