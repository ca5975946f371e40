// Cuts what a guest writes to its standard error into lines.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace heddle::json_rpc {

// A line longer than the bound is given in its beginning only; "\n" and "\r\n" are not of the line.
class LineCutter {
 public:
  explicit LineCutter(std::size_t longest) : longest_(longest) {}
  // `take` says whether it wants another line: if not, all that end within `bytes` are passed over.
  // Gives their number.
  template <typename Take>
  std::size_t feed(std::string_view bytes, Take take) {
    bool more = true;
    while (more && !bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      keep(bytes.substr(0, end));
      if (end == std::string_view::npos) return 0;
      more = end_line(take);
      bytes.remove_prefix(end + 1);
    }
    keep(bytes.substr(bytes.rfind('\n') + 1));
    return static_cast<std::size_t>(std::ranges::count(bytes, '\n'));
  }
  template <typename Take>
  void end(Take take) {
    if (!line_.empty()) end_line(take);
  }

 private:
  template <typename Take>
  bool end_line(Take& take) {
    if (line_.ends_with('\r')) line_.pop_back();
    const bool more = take(std::string_view(line_));
    line_.clear();
    return more;
  }
  void keep(std::string_view part) { line_ += part.substr(0, longest_ - line_.size()); }

  std::size_t longest_;
  std::string line_;
};

}  // namespace heddle::json_rpc
