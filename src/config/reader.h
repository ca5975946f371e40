// Reads YAML (JSON is YAML) into a Config, reporting every problem at once.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"

namespace heddle::config {

// One problem of a configuration: where, what, and what would be right.
struct Problem {
  enum class Severity : std::uint8_t { kWarning, kError } severity = Severity::kError;
  Location location;
  std::string path;     // "plugins[2].timeout"
  std::string message;  // "\"fast\" is not a duration"
  std::string hint;     // "for example 100ms, 5s, 1m"
};
std::string to_string(
    const Problem& problem);  // "loom.yaml:12:5: error: plugins[2].timeout: … (…)"

struct ReadOptions {
  bool lenient = false;       // unknown keys are warnings
  bool refuse_empty = false;  // a file without any setting is an error: it may be half written
  // Problems do not quote what variables of the environment stand for: the text is somebody
  // else's than the environment.
  bool hide_variables = false;
  std::string ourchat_config =
      {};  // OurChat's own file, for messaging.hooks (ourchat.h); empty: none
};

struct ReadResult {
  std::shared_ptr<const Config> config;  // null when there is an error
  std::vector<Problem> problems;         // errors and warnings, in order of file and line
  bool ok() const { return config != nullptr; }
};

// `path`: a file, or a folder whose *.yaml and *.yml are merged in name order.
ReadResult read(const std::string& path, const ReadOptions& options);
// `name` stands for the file in messages; relative paths are resolved against `base_dir`.
ReadResult read_text(std::string_view yaml, const std::string& name, const std::string& base_dir,
                     const ReadOptions& options);

// Changes when what read() would read changes: names and bytes of the files. Cheap enough to ask
// after every event of a watched folder.
std::size_t fingerprint(const std::string& path);
// Changes whenever one of those files is written or replaced: names, sizes, times. Any thread.
std::size_t stamp(const std::string& path);

// The folders in which such changes show, and the names in them that count: of the files themselves
// and of every symbolic link on the way to them.
struct WatchPoints {
  std::set<std::string> folders;
  std::set<std::string, std::less<>> names;
  bool yaml = false;  // every *.yaml and *.yml counts too: a configuration folder
  bool counts(std::string_view name) const;
  friend bool operator==(const WatchPoints&, const WatchPoints&) = default;
};
void add_watch_points(const std::string& path, WatchPoints& points);

// Generated from the table of settings.
std::string markdown_reference();
std::string json_schema();

}  // namespace heddle::config
