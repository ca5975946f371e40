#include "http/header_map.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "http/h1_tables.h"

namespace heddle::http {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool has_upper(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

std::string_view lower_copy(Arena& arena, std::string_view name) {
  char* out = arena.allocate(name.size());
  std::transform(name.begin(), name.end(), out, lower);
  return {out, name.size()};
}

// Compares entries, whose names are in lower case, with a name of any case. Few entries have the
// name's length and last character, and nearly all names that are asked for are in lower case: only
// when such an entry differs is the case looked at.
class NameMatch {
 public:
  explicit NameMatch(std::string_view name)
      : name_(name), last_(name.empty() ? '\0' : lower(name.back())) {}
  bool operator()(const HeaderMap::Entry& entry) const {
    if (entry.name.size() != name_.size()) return false;
    if (!name_.empty() && entry.name.back() != last_) return false;
    return is_same(entry.name);
  }

 private:
  bool is_same(std::string_view entry) const {
    if (std::memcmp(entry.data(), name_.data(), name_.size()) == 0) return true;
    return has_upper(name_) && equals_ignoring_case(entry, name_);
  }

  std::string_view name_;
  char last_;
};

}  // namespace

std::size_t HeaderMap::byte_size() const {
  std::size_t size = 0;
  for (const Entry& entry : entries_) size += entry.name.size() + entry.value.size();
  return size;
}

std::optional<std::string_view> HeaderMap::find(std::string_view name) const {
  const NameMatch match(name);
  for (const Entry& entry : entries_) {
    if (match(entry)) return entry.value;
  }
  return std::nullopt;
}

std::optional<std::string_view> HeaderMap::get_joined(std::string_view name) const {
  if (!may_have(name)) return std::nullopt;
  const NameMatch match(name);
  std::size_t count = 0;
  std::size_t size = 0;
  std::string_view first;
  for (const Entry& entry : entries_) {
    if (!match(entry)) continue;
    if (count++ == 0) first = entry.value;
    size += entry.value.size() + 1;
  }
  if (count == 0) return std::nullopt;
  if (count == 1) return first;
  char* const out = arena_->allocate(size);
  char* next = out;
  for (const Entry& entry : entries_) {
    if (!match(entry)) continue;
    if (next != out) *next++ = ',';
    next = std::copy(entry.value.begin(), entry.value.end(), next);
  }
  return std::string_view(out, static_cast<std::size_t>(next - out));
}

bool HeaderMap::has_token(std::string_view name, std::string_view token) const {
  if (!may_have(name)) return false;
  const NameMatch match(name);
  for (const Entry& entry : entries_) {
    if (!match(entry)) continue;
    std::string_view rest = entry.value;
    while (!rest.empty()) {
      const std::size_t comma = std::min(rest.find(','), rest.size());
      if (equals_ignoring_case(trim(rest.substr(0, comma)), token)) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

void HeaderMap::add(std::string_view name, std::string_view value) {
  add_view(lower_copy(*arena_, name), arena_->copy(value));
}

void HeaderMap::set(std::string_view name, std::string_view value) {
  set_view(lower_copy(*arena_, name), arena_->copy(value));
}

void HeaderMap::set_view(std::string_view lower_name, std::string_view value) {
  if (!may_have(lower_name)) {
    add_view(lower_name, value);
    return;
  }
  const NameMatch match(lower_name);
  const auto found = std::find_if(entries_.begin(), entries_.end(), match);
  if (found == entries_.end()) {
    add_view(lower_name, value);
    return;
  }
  ++version_;
  found->value = value;
  entries_.erase(std::remove_if(found + 1, entries_.end(), match), entries_.end());
}

bool HeaderMap::remove(std::string_view name) {
  if (!may_have(name)) return false;
  const auto kept = std::remove_if(entries_.begin(), entries_.end(), NameMatch(name));
  if (kept == entries_.end()) return false;
  entries_.erase(kept, entries_.end());
  ++version_;
  return true;
}

void HeaderMap::clear() {
  entries_.clear();
  seen_ = 0;
  ++version_;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return kTokenTable[static_cast<unsigned char>(c)] != 0;
  });
}

bool is_field_value(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F;
  });
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                            [](char x, char y) { return lower(x) == lower(y); });
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<std::uint64_t> parse_length(std::string_view text) {
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return length;
}

bool nominates_headers(const HeaderMap& headers) {
  if (!headers.contains("connection")) return false;
  return std::ranges::any_of(headers, [](const HeaderMap::Entry& entry) {
    return entry.name == "connection" && !equals_ignoring_case(entry.value, "keep-alive") &&
           !equals_ignoring_case(entry.value, "close") &&
           !equals_ignoring_case(entry.value, "upgrade");
  });
}

bool wants_upgrade(const HeaderMap& headers) {
  const auto wanted = headers.get("upgrade");
  return wanted && headers.has_token("connection", "upgrade") &&
         !equals_ignoring_case(*wanted, "h2c");
}

void remove_forbidden_trailers(HeaderMap& trailers) {
  for (const std::string_view name : {"transfer-encoding",
                                      "content-length",
                                      "host",
                                      "connection",
                                      "keep-alive",
                                      "proxy-connection",
                                      "te",
                                      "trailer",
                                      "upgrade",
                                      "expect",
                                      "max-forwards",
                                      "cache-control",
                                      "authorization",
                                      "proxy-authorization",
                                      "cookie",
                                      "set-cookie",
                                      "content-encoding",
                                      "content-type",
                                      "content-range",
                                      "range",
                                      "if-match",
                                      "if-none-match"}) {
    trailers.remove(name);
  }
}

}  // namespace heddle::http
