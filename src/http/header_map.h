// The headers of one message in order, names in lower case, repeated names kept apart.
// Pseudo-headers
// (:method :path :authority :scheme :status) are entries like the others and stand first.
//
// Names and values are views into an Arena (or into bytes that live as long); nothing is freed
// before the message is. Not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "base/arena.h"

namespace heddle::http {

class HeaderMap {
 public:
  struct Entry {
    std::string_view name;
    std::string_view value;
  };

  explicit HeaderMap(Arena& arena) : arena_(&arena) {}
  HeaderMap(const HeaderMap&) = delete;
  HeaderMap& operator=(const HeaderMap&) = delete;

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::size_t byte_size() const;  // names and values together
  auto begin() const { return entries_.begin(); }
  auto end() const { return entries_.end(); }

  // First value of `name` (any case).
  std::optional<std::string_view> get(std::string_view name) const {
    if (!may_have(name)) return std::nullopt;
    return find(name);
  }
  bool contains(std::string_view name) const { return get(name).has_value(); }
  // All values joined with ',' (a copy in the arena when there are several).
  std::optional<std::string_view> get_joined(std::string_view name) const;
  // Whether a comma-separated list header holds `token` (both compared without case).
  bool has_token(std::string_view name, std::string_view token) const;

  void add(std::string_view name, std::string_view value);  // copies; name is lower-cased
  void set(std::string_view name,
           std::string_view value);    // replaces the first, drops the others; adds when absent
  bool remove(std::string_view name);  // true when something was removed
  void clear();

  // For codecs: both views already live long enough, the name is lower case.
  void add_view(std::string_view name, std::string_view value) {
    entries_.push_back({name, value});
    seen_ |= mark(name);
    ++version_;
  }
  void set_view(std::string_view lower_name, std::string_view value);
  void set_value_at(std::size_t index, std::string_view value) {
    entries_[index].value = value;
    ++version_;
  }

  // Grows with every change: callers cache a serialised form, or see that somebody changed the
  // headers.
  std::uint32_t version() const { return version_; }
  Arena& arena() const { return *arena_; }

 private:
  // Most names that are asked for are not there. The marks of those that were added tell nearly all
  // of these apart without a look at the entries; for a literal the mark is a constant.
  static std::uint64_t mark(std::string_view name) {
    if (name.empty()) return 1;
    const auto last = static_cast<unsigned char>(name.back() | 0x20);  // of any case
    return std::uint64_t{1} << ((name.size() * 5 + last) % 64);
  }
  bool may_have(std::string_view name) const { return (seen_ & mark(name)) != 0; }
  std::optional<std::string_view> find(std::string_view name) const;

  Arena* arena_;
  std::vector<Entry> entries_;
  std::uint64_t seen_ = 0;  // marks of all names since the last clear()
  std::uint32_t version_ = 0;
};

// RFC 9110 token characters, at least one. Pseudo-header names are not tokens.
bool is_token(std::string_view text);
// No CR, LF, NUL or other control character but HTAB (RFC 9110 section 5.5).
bool is_field_value(std::string_view text);
bool equals_ignoring_case(std::string_view a, std::string_view b);
// Without the spaces and tabs around it.
std::string_view trim(std::string_view text);
// Of a Content-Length; none when it is not a number of 64 bits.
std::optional<std::uint64_t> parse_length(std::string_view text);
// Whether Connection may nominate headers as hop-by-hop beside the options that every codec knows
// (RFC 9110 section 7.6.1). Any Connection header counts: they are one list.
bool nominates_headers(const HeaderMap& headers);
// Whether it asks for another protocol behind the answer. h2c is not offered: such a request is as
// one that does not ask (RFC 9110 section 7.8).
bool wants_upgrade(const HeaderMap& headers);
// Of the trailers of a message: what must not come after the body, since it concerns framing,
// routing, authentication or how to read the content (RFC 9110 section 6.5.1).
void remove_forbidden_trailers(HeaderMap& trailers);

}  // namespace heddle::http
