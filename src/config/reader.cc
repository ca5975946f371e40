#include "config/reader.h"

#include <filesystem>
#include <utility>

#include "config/checks.h"
#include "config/decode.h"
#include "config/dump.h"
#include "config/ourchat.h"
#include "config/problems.h"
#include "config/settings.h"
#include "config/sources.h"
#include "config/yaml.h"

namespace heddle::config {
namespace {

ReadResult finish(Problems& problems, std::shared_ptr<const Config> config) {
  const bool failed = problems.has_errors();
  return {.config = failed ? nullptr : std::move(config), .problems = problems.take()};
}

// Adds OurChat's own file to the tree.
void merge_ourchat(const std::string& name, Node& root, std::vector<std::string>& folders,
                   Problems& problems) {
  const std::uint32_t file = problems.add_file(name);
  folders.push_back(std::filesystem::path(name).parent_path().string());
  const auto text = read_file(name, file, problems);
  if (!text) return;
  auto tree = parse_ourchat(*text, name, file, problems);
  if (tree) merge(root, std::move(*tree), "", problems);
}

// A tree that was read without errors into a Config.
ReadResult build(const Node& root, std::vector<std::string> folders, Problems& problems,
                 const ReadOptions& options) {
  auto config = std::make_shared<Config>();
  Decoder decoder(problems, std::move(folders), options.lenient);
  if (!root.is_null()) decoder.decode(root, settings(), config.get(), "");
  if (root.is_null() || root.is_map()) {
    complete(*config, root, decoder.places(), problems);
    check(*config, decoder.places(), problems);
  }
  config->files = problems.files();
  if (options.hide_variables) problems.hide(decoder.places().variables());
  if (!problems.has_errors()) config->effective_yaml = effective_yaml(*config);
  return finish(problems, std::move(config));
}

constexpr const char* kEmpty = "the file is empty";
constexpr const char* kEmptyHint =
    "write it beside and rename it into place; {} asks for the defaults";

// A file of comments alone says so on purpose.
void refuse_empty(const Node& tree, std::string_view text, std::uint32_t file, Problems& problems) {
  if (tree.is_null() && !text.contains('#')) {
    problems.error({.file = file}, "", kEmpty, kEmptyHint);
  }
}

}  // namespace

ReadResult read(const std::string& path, const ReadOptions& options) {
  Problems problems;
  Node root;
  std::vector<std::string> folders;
  for (const std::string& name : find_files(path, problems)) {
    const std::uint32_t file = problems.add_file(name);
    folders.push_back(std::filesystem::path(name).parent_path().string());
    const auto text = read_file(name, file, problems);
    if (!text) continue;
    auto tree = parse_yaml(*text, file, problems);
    if (tree && options.refuse_empty) refuse_empty(*tree, *text, file, problems);
    if (tree) merge(root, std::move(*tree), "", problems);
  }
  if (!options.ourchat_config.empty()) {
    merge_ourchat(options.ourchat_config, root, folders, problems);
  }
  if (options.refuse_empty && root.is_null() && !problems.has_errors()) {
    problems.add(Problem::Severity::kError, {.file = path}, "", kEmpty, kEmptyHint);
  }
  // A tree with holes would give errors that are none: unknown upstreams, missing keys.
  if (problems.has_errors()) return finish(problems, nullptr);
  return build(root, std::move(folders), problems, options);
}

ReadResult read_text(std::string_view yaml, const std::string& name, const std::string& base_dir,
                     const ReadOptions& options) {
  Problems problems;
  const std::uint32_t file = problems.add_file(name);
  auto tree = parse_yaml(yaml, file, problems);
  if (!tree) return finish(problems, nullptr);
  return build(*tree, {base_dir}, problems, options);
}

}  // namespace heddle::config
