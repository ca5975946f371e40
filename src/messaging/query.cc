#include "messaging/query.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace heddle::messaging {
namespace {

std::optional<std::string> decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      unsigned value = 0;
      if (i + 2 >= text.size()) return std::nullopt;
      const char* begin = text.data() + i + 1;
      const auto [end, wrong] = std::from_chars(begin, begin + 2, value, 16);
      if (wrong != std::errc() || end != begin + 2) return std::nullopt;
      out += static_cast<char>(value);
      i += 2;
    }
  }
  return out;
}

std::unexpected<Refusal> bad(std::string message) {
  return refuse(400, "bad_request", std::move(message));
}

}  // namespace

Outcome<QueryParameters> QueryParameters::parse(std::string_view query,
                                                std::initializer_list<std::string_view> known) {
  QueryParameters out;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    auto name = decoded(pair.substr(0, equals));
    auto value = decoded(pair.substr(std::min(equals + 1, pair.size())));
    if (!name || !value) return bad("the query is not well encoded");
    if (std::ranges::find(known, *name) == known.end()) {
      return bad("there is no parameter \"" + *name + "\"");
    }
    if (!out.values_.emplace(std::move(*name), std::move(*value)).second) {
      return bad("a parameter stands twice in the query");
    }
  }
  return out;
}

std::string QueryParameters::text(std::string_view name) const {
  const auto found = values_.find(name);
  return found == values_.end() ? std::string() : found->second;
}

Outcome<std::uint64_t> QueryParameters::number(std::string_view name, std::uint64_t absent,
                                               std::uint64_t max) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return absent;
  const std::string& text = found->second;
  std::uint64_t out = 0;
  const auto [end, wrong] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (wrong != std::errc() || end != text.data() + text.size() || out > max) {
    return bad(std::string(name) + " is not a number from 0 to " + std::to_string(max));
  }
  return out;
}

}  // namespace heddle::messaging
