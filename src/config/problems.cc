#include "config/problems.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <tuple>
#include <utility>

namespace heddle::config {
namespace {

constexpr std::size_t kLongestQuote = 60;
constexpr std::size_t kShortestQuote = 8;
constexpr std::size_t kLongestCompared = 64;

// Whether `path` is `outer`, or of a value inside of that.
bool is_inside(std::string_view path, std::string_view outer) {
  if (!path.starts_with(outer)) return false;
  const std::string_view rest = path.substr(outer.size());
  return rest.empty() || rest.front() == '.' || rest.front() == '[';
}

std::size_t levenshtein(std::string_view a, std::string_view b) {
  std::array<std::size_t, kLongestCompared + 1> row{};
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t above = row[j + 1];
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0U : 1U);
      row[j + 1] = std::min({changed, above + 1, row[j] + 1});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::string to_string(const Location& location) {
  if (location.line == 0) return location.file;
  return concat(location.file, ":", std::to_string(location.line), ":",
                std::to_string(location.column));
}

std::string to_string(const Problem& problem) {
  std::string out = to_string(problem.location);
  out += problem.severity == Problem::Severity::kError ? ": error: " : ": warning: ";
  if (!problem.path.empty()) out += concat(problem.path, ": ");
  out += problem.message;
  if (!problem.hint.empty()) out += concat(" (", problem.hint, ")");
  return out;
}

std::uint32_t Problems::add_file(std::string name) {
  files_.push_back(std::move(name));
  return static_cast<std::uint32_t>(files_.size() - 1);
}

Location Problems::location(Mark mark) const {
  return {.file = mark.file < files_.size() ? files_[mark.file] : std::string(),
          .line = mark.line,
          .column = mark.column};
}

void Problems::add(Problem::Severity severity, Location location, std::string path,
                   std::string message, std::string hint) {
  if (severity == Problem::Severity::kError) ++errors_;
  if (problems_.size() >= kMaxErrors) return;
  problems_.push_back(
      {severity, std::move(location), std::move(path), std::move(message), std::move(hint)});
}

void Problems::error(Mark mark, std::string path, std::string message, std::string hint) {
  add(Problem::Severity::kError, location(mark), std::move(path), std::move(message),
      std::move(hint));
}

void Problems::error(Mark mark, std::string path, Complaint complaint) {
  error(mark, std::move(path), std::move(complaint.message), std::move(complaint.hint));
}

void Problems::warning(Mark mark, std::string path, std::string message, std::string hint) {
  add(Problem::Severity::kWarning, location(mark), std::move(path), std::move(message),
      std::move(hint));
}

bool Problems::has_errors_at(std::string_view path) const {
  return std::ranges::any_of(problems_, [&](const Problem& problem) {
    return problem.severity == Problem::Severity::kError && is_inside(problem.path, path);
  });
}

void Problems::hide(const std::map<std::string, std::string>& values) {
  for (Problem& problem : problems_) {
    const bool quoting = std::ranges::any_of(values, [&](const auto& value) {
      const auto& [path, text] = value;
      const std::string words = concat(problem.message, problem.hint);
      // A message may cut a long text, and escape it.
      const std::string_view start = std::string_view(text).substr(0, kShortestQuote);
      return is_inside(path, problem.path) ||
             (!text.empty() && (words.contains(start) || words.contains(quote(text))));
    });
    if (!quoting) continue;
    problem.message = "a value with variables of the environment is refused; why is not told here";
    problem.hint = "heddle validate -c FILE tells";
  }
}

std::vector<Problem> Problems::take() {
  // The number of a problem comes last: what was found first stays first.
  std::vector<std::tuple<std::ptrdiff_t, int, int, std::size_t>> order;
  for (std::size_t i = 0; i < problems_.size(); ++i) {
    const Location& where = problems_[i].location;
    const auto file = std::ranges::find(files_, where.file) - files_.begin();
    order.emplace_back(file, where.line, where.column, i);
  }
  std::ranges::sort(order);
  std::vector<Problem> sorted;
  sorted.reserve(order.size() + 1);
  for (const auto& place : order) sorted.push_back(std::move(problems_[std::get<3>(place)]));
  if (problems_.size() >= kMaxErrors) {
    sorted.push_back({Problem::Severity::kError,
                      {.file = files_.front()},
                      "",
                      "too many problems; the rest is not shown",
                      ""});
  }
  problems_.clear();
  return sorted;
}

std::string quote(std::string_view text) {
  std::size_t shown = std::min(text.size(), kLongestQuote);
  // Never cut within a UTF-8 sequence.
  while (shown < text.size() && shown > 0 &&
         (static_cast<unsigned char>(text[shown]) & 0xC0U) == 0x80U) {
    --shown;
  }
  std::string out;
  append_json_string(out, text.substr(0, shown));
  if (shown < text.size()) out.insert(out.size() - 1, "…");
  return out;
}

std::string_view nearest(std::string_view text, std::span<const std::string_view> candidates) {
  if (text.size() > kLongestCompared) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(text.size() / 3, 1) + 1;
  for (const std::string_view candidate : candidates) {
    if (candidate.size() > kLongestCompared) continue;
    const std::size_t distance = levenshtein(text, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string join(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    if (!out.empty()) out += ", ";
    out += word;
  }
  return out;
}

}  // namespace heddle::config
