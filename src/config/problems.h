// Collects what is wrong with a configuration, so that one run reports everything.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/node.h"
#include "config/reader.h"

namespace heddle::config {

// Why a value is refused, without its place.
struct Complaint {
  std::string message;
  std::string hint;
};

class Problems {
 public:
  // After so many errors of one run the rest is only counted: a file of junk must not fill the
  // terminal.
  static constexpr std::size_t kMaxErrors = 200;

  // Names a further file; its number is what Mark::file holds.
  std::uint32_t add_file(std::string name);
  const std::string& file(std::uint32_t number) const { return files_.at(number); }
  const std::vector<std::string>& files() const { return files_; }
  Location location(Mark mark) const;

  void add(Problem::Severity severity, Location location, std::string path, std::string message,
           std::string hint = {});
  void error(Mark mark, std::string path, std::string message, std::string hint = {});
  void error(Mark mark, std::string path, Complaint complaint);
  void warning(Mark mark, std::string path, std::string message, std::string hint = {});

  bool has_errors() const { return errors_ > 0; }
  // Whether an error was reported for the value at `path` or inside of it: what failed once is not
  // called missing too.
  bool has_errors_at(std::string_view path) const;
  // Takes the words from every problem that might quote one of these values (text by path).
  void hide(const std::map<std::string, std::string>& values);
  // In order of file and line.
  std::vector<Problem> take();

 private:
  std::vector<std::string> files_;
  std::vector<Problem> problems_;
  std::size_t errors_ = 0;
};

// One string out of parts.
template <typename... Parts>
std::string concat(const Parts&... parts) {
  std::string out;
  out.reserve((std::string_view(parts).size() + ...));
  (out.append(std::string_view(parts)), ...);
  return out;
}

// `text` between quotation marks for a message: control characters escaped, long texts cut.
std::string quote(std::string_view text);

// The candidate that is most like `text`, or empty when none is near enough to be a slip of the
// fingers.
std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates);

// "a, b, c"
std::string join(std::span<const std::string_view> words);

}  // namespace heddle::config
