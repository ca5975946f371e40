#include "config/restart.h"

#include <algorithm>
#include <span>
#include <type_traits>
#include <variant>

#include "config/decode.h"
#include "config/settings.h"

namespace heddle::config {
namespace {

struct SameValue {
  template <typename One, typename Other>
  bool operator()(const One& one, const Other& other) const {
    if constexpr (!std::is_same_v<One, Other>) {
      return false;
    } else if constexpr (std::is_same_v<One, std::monostate>) {
      return true;
    } else if constexpr (std::is_same_v<One, std::vector<Match>*>) {
      return std::ranges::equal(*one, *other, [](const Match& a, const Match& b) {
        return a.name == b.name && a.value == b.value;
      });
    } else {
      return *one == *other;
    }
  }
};

// No item of a list needs a restart, so that lists are left out.
void compare(std::span<const Setting> rows, void* before, void* now, const std::string& path,
             std::vector<std::string>& out) {
  for (const Setting& row : rows) {
    const std::string own = child_path(path, row.key);
    if (row.type == Type::kObject) {
      const bool groups = row.member.object == nullptr;
      compare(row.rows, groups ? before : row.member.object(before),
              groups ? now : row.member.object(now), own, out);
    } else if (row.needs_restart &&
               !std::visit(SameValue(), row.member.slot(before), row.member.slot(now))) {
      out.push_back(own);
    }
  }
}

}  // namespace

std::vector<std::string> restart_changes(const Config& before, const Config& now) {
  // Rows reach members through a pointer that may write; copies keep the promise of const.
  Config one = before;
  Config other = now;
  std::vector<std::string> out;
  compare(settings(), &one, &other, "", out);
  return out;
}

}  // namespace heddle::config
