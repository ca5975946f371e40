#include "config/sources.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <list>
#include <utility>

#include "config/decode.h"
#include "config/reader.h"
#include "config/yaml.h"

namespace heddle::config {
namespace {

namespace fs = std::filesystem;

void report(Problems& problems, const std::string& path, std::string message,
            std::string hint = {}) {
  problems.add(Problem::Severity::kError, {.file = path}, "", std::move(message), std::move(hint));
}

// Whether a file of this name in a configuration folder is read.
bool is_yaml(std::string_view name) {
  const fs::path file(name);
  const bool yaml = file.extension() == ".yaml" || file.extension() == ".yml";
  return yaml && !file.filename().string().starts_with('.');
}

std::vector<std::string> files_of_folder(const std::string& path, Problems& problems) {
  std::vector<std::string> files;
  std::error_code error;
  fs::directory_iterator iterator(path, error);
  for (; !error && iterator != fs::directory_iterator(); iterator.increment(error)) {
    const fs::path& file = iterator->path();
    if (!is_yaml(file.string())) continue;
    if (std::error_code ignored; iterator->is_directory(ignored)) continue;
    files.push_back(file.string());
  }
  if (error) {
    report(problems, path, concat("the folder cannot be read: ", error.message()));
    return {};
  }
  if (files.empty()) {
    report(problems, path, "the folder has no *.yaml file", "for example 10-listeners.yaml");
  }
  std::ranges::sort(files);
  return files;
}

// Where `path` leads; notes every link on the way. It need not exist.
fs::path follow(const fs::path& path, WatchPoints& points) {
  constexpr int kMostLinks = 40;  // as the system has it
  std::error_code error;
  fs::path at = "/";
  std::list<fs::path> rest;
  const auto put_before = [&rest](const fs::path& way) {
    rest.insert(rest.begin(), way.begin(), way.end());
  };
  put_before(fs::absolute(path, error).relative_path());
  for (int links = 0; !rest.empty();) {
    const fs::path name = rest.front();
    rest.pop_front();
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at = at.parent_path();
      continue;
    }
    const fs::path target =
        links < kMostLinks ? fs::read_symlink(at / name, error) : fs::path();  // empty: no link
    if (target.empty()) {
      at /= name;
      continue;
    }
    ++links;
    points.folders.insert(at.string());
    points.names.insert(name.string());
    put_before(target.relative_path());
    if (target.is_absolute()) at = "/";
  }
  return at;
}

}  // namespace

std::vector<std::string> find_files(const std::string& path, Problems& problems) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (status.type() == fs::file_type::not_found) {
    report(problems, path, "there is no such file or folder",
           "give the configuration with -c FILE");
    return {};
  }
  if (error) {
    report(problems, path, concat("cannot be read: ", error.message()));
    return {};
  }
  if (fs::is_directory(status)) return files_of_folder(path, problems);
  return {path};
}

std::optional<std::string> read_file(const std::string& path, std::uint32_t file,
                                     Problems& problems) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    problems.error({.file = file}, "", concat("cannot be opened: ", std::strerror(errno)));
    return std::nullopt;
  }
  // One byte over the limit is enough for parse_yaml to refuse it.
  constexpr std::size_t kPiece = 64UZ << 10;
  std::string bytes;
  while (stream && bytes.size() <= kMaxFileBytes) {
    const std::size_t before = bytes.size();
    const std::size_t piece = std::min(kPiece, kMaxFileBytes + 1 - before);
    bytes.resize(before + piece);
    stream.read(bytes.data() + before, static_cast<std::streamsize>(piece));
    bytes.resize(before + static_cast<std::size_t>(stream.gcount()));
  }
  if (stream.bad()) {
    problems.error({.file = file}, "", concat("cannot be read: ", std::strerror(errno)));
    return std::nullopt;
  }
  return bytes;
}

void merge(Node& into, Node&& from, const std::string& path, Problems& problems) {
  if (from.is_null()) return;
  if (into.is_null()) {
    into = std::move(from);
  } else if (into.is_map() && from.is_map()) {
    for (std::size_t i = 0; i < from.items.size(); ++i) {
      const auto found = std::ranges::find(into.keys, from.keys[i].text, &Node::Key::text);
      if (found == into.keys.end()) {
        into.keys.push_back(std::move(from.keys[i]));
        into.items.push_back(std::move(from.items[i]));
        continue;
      }
      const auto index = static_cast<std::size_t>(found - into.keys.begin());
      merge(into.items[index], std::move(from.items[i]), child_path(path, from.keys[i].text),
            problems);
    }
  } else if (into.is_list() && from.is_list()) {
    into.items.insert(into.items.end(), std::make_move_iterator(from.items.begin()),
                      std::make_move_iterator(from.items.end()));
  } else if (!into.is_scalar() || !from.is_scalar() || into.text != from.text) {
    problems.error(from.mark, path,
                   concat("is given twice, also at ", to_string(problems.location(into.mark))),
                   "keep it in one of the files");
  }
}

std::size_t fingerprint(const std::string& path) {
  Problems problems;
  std::string all;
  for (const std::string& file : find_files(path, problems)) {
    all +=
        concat(file, "\n", read_file(file, problems.add_file(file), problems).value_or(""), "\n");
  }
  return std::hash<std::string>{}(all);
}

std::size_t stamp(const std::string& path) {
  Problems problems;
  std::string all;
  for (const std::string& file : find_files(path, problems)) {
    struct stat status{};
    const bool found = ::stat(file.c_str(), &status) == 0;
    all += concat(file, "\n", std::to_string(found ? status.st_size : -1), " ",
                  std::to_string(status.st_ino), " ", std::to_string(status.st_mtim.tv_sec), ".",
                  std::to_string(status.st_mtim.tv_nsec), "\n");
  }
  return std::hash<std::string>{}(all);
}

bool WatchPoints::counts(std::string_view name) const {
  return names.contains(name) || (yaml && is_yaml(name));
}

void add_watch_points(const std::string& path, WatchPoints& points) {
  const fs::path real = follow(path, points);
  std::error_code error;
  if (!fs::is_directory(real, error)) {
    points.folders.insert(real.parent_path().string());
    points.names.insert(real.filename().string());
    return;
  }
  points.folders.insert(real.string());
  points.yaml = true;
  fs::directory_iterator iterator(real, error);
  for (; !error && iterator != fs::directory_iterator(); iterator.increment(error)) {
    std::error_code ignored;
    const bool link = is_yaml(iterator->path().string()) && iterator->is_symlink(ignored);
    if (!link) continue;
    const fs::path file = follow(iterator->path(), points);
    points.folders.insert(file.parent_path().string());
    points.names.insert(file.filename().string());
  }
}

}  // namespace heddle::config
