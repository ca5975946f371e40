#include "telemetry/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::telemetry {
namespace {

std::string read_file(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

template <typename Number>
Number parse(std::string_view text) {
  Number out{};
  std::from_chars(text.data(), text.data() + text.size(), out);
  return out;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// Seconds since the epoch at which the machine started; /proc counts process starts from there.
double boot_time() {
  static const double value = [] {
    const std::string stat = read_file("/proc/stat");
    const std::size_t at = stat.find("btime ");
    if (at == std::string::npos) return 0.0;
    return static_cast<double>(parse<std::uint64_t>(std::string_view(stat).substr(at + 6)));
  }();
  return value;
}

std::uint64_t count_open_fds() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(opendir("/proc/self/fd"), closedir);
  if (!folder) return 0;
  std::uint64_t count = 0;
  // Only this function reads the stream it has opened, which is all that readdir asks for.
  while (readdir(folder.get()) != nullptr) ++count;
  return count > 3 ? count - 3 : 0;  // ".", ".." and the one that reads
}

}  // namespace

ProcessMetrics read_process_metrics() {
  ProcessMetrics out;
  const std::string stat = read_file("/proc/self/stat");
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  // The second field is the program's name in parentheses and may hold anything; the rest is words
  // (proc(5), from field 3).
  if (const std::size_t name_end = stat.rfind(')'); name_end != std::string::npos) {
    const auto words = split_words(std::string_view(stat).substr(name_end + 1));
    if (words.size() >= 22 && ticks > 0) {
      out.cpu_seconds =
          static_cast<double>(parse<std::uint64_t>(words[11]) + parse<std::uint64_t>(words[12])) /
          ticks;
      out.threads = parse<std::uint64_t>(words[17]);
      out.start_time_seconds =
          boot_time() + static_cast<double>(parse<std::uint64_t>(words[19])) / ticks;
      out.virtual_memory_bytes = parse<std::uint64_t>(words[20]);
      out.resident_memory_bytes =
          parse<std::uint64_t>(words[21]) * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    }
  }
  out.open_fds = count_open_fds();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) out.max_fds = limit.rlim_cur;
  return out;
}

}  // namespace heddle::telemetry
