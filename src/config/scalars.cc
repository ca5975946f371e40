#include "config/scalars.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>
#include <limits>

namespace heddle::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t factor;
};

constexpr std::int64_t kMillisecond = 1'000'000;  // nanoseconds
constexpr std::array<Unit, 9> kDurationUnits = {{{"d", 86'400'000 * kMillisecond},
                                                 {"h", 3'600'000 * kMillisecond},
                                                 {"m", 60'000 * kMillisecond},
                                                 {"s", 1'000 * kMillisecond},
                                                 {"ms", kMillisecond},
                                                 {"us", 1'000},
                                                 {"\u00b5s", 1'000},  // the micro sign
                                                 {"\u03bcs", 1'000},  // the Greek letter
                                                 {"ns", 1}}};

constexpr std::int64_t kKibi = 1 << 10;
constexpr std::int64_t kMebi = 1 << 20;
constexpr std::int64_t kGibi = 1 << 30;
constexpr std::array<Unit, 10> kSizeUnits = {{{"GiB", kGibi},
                                              {"MiB", kMebi},
                                              {"KiB", kKibi},
                                              {"GB", kGibi},
                                              {"MB", kMebi},
                                              {"KB", kKibi},
                                              {"G", kGibi},
                                              {"M", kMebi},
                                              {"K", kKibi},
                                              {"B", 1}}};

char to_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

bool same_ignoring_case(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, {}, to_lower, to_lower);
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::unexpected<Complaint> complain(std::string message, std::string hint) {
  return std::unexpected(Complaint{std::move(message), std::move(hint)});
}

// Takes the decimal digits that `text` begins with; nullopt when there are none or too many.
std::optional<std::int64_t> take_number(std::string_view& text) {
  std::int64_t value = 0;
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return value;
}

// Takes a fraction behind a point, of `unit`: nullopt when no digit follows the point. What is
// finer than one counts as one.
std::optional<std::int64_t> take_fraction(std::string_view& text, std::int64_t unit) {
  if (!text.starts_with('.')) return 0;
  text.remove_prefix(1);
  if (text.empty() || !is_digit(text.front())) return std::nullopt;
  std::int64_t value = 0;
  std::int64_t left = unit;  // what one of the next digit is worth, times ten
  bool more = false;
  for (; !text.empty() && is_digit(text.front()); text.remove_prefix(1)) {
    const std::int64_t digit = text.front() - '0';
    value += digit * left / 10;
    more = more || (left == 0 ? digit != 0 : digit * left % 10 != 0);
    left /= 10;
  }
  return value + (more ? 1 : 0);
}

std::optional<std::int64_t> multiply(std::int64_t value, std::int64_t factor) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(value, factor, &product)) return std::nullopt;
  return product;
}

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (to_lower(c) >= 'a' && to_lower(c) <= 'z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::ranges::all_of(name, [&](char c) { return letter(c) || is_digit(c); });
}

// The value of what stands between ${ and }.
Parsed<std::string> variable(std::string_view inside) {
  const std::size_t separator = inside.find(":-");
  const std::string name(inside.substr(0, separator));
  if (!is_variable_name(name)) {
    return complain(concat("${", inside.substr(0, 40), "} does not name a variable"),
                    "for example ${PORT} or ${PORT:-8080}; write $${ for a literal ${");
  }
  // The environment is not changed after start, so reading it needs no lock.
  const char* value = std::getenv(name.c_str());
  if (separator != std::string_view::npos) {
    if (value != nullptr && *value != '\0') return std::string(value);
    return std::string(inside.substr(separator + 2));
  }
  if (value != nullptr) return std::string(value);
  return complain(concat("the environment variable ", name, " is not set"),
                  concat("set it, or give a default: ${", name, ":-default}"));
}

}  // namespace

Parsed<bool> parse_boolean(std::string_view text) {
  static constexpr std::array<std::string_view, 3> kTrue = {"true", "yes", "on"};
  static constexpr std::array<std::string_view, 3> kFalse = {"false", "no", "off"};
  const auto is = [&](std::string_view word) { return same_ignoring_case(word, text); };
  if (std::ranges::any_of(kTrue, is)) return true;
  if (std::ranges::any_of(kFalse, is)) return false;
  return complain(concat(quote(text), " is neither true nor false"), "write true or false");
}

Parsed<std::int64_t> parse_integer(std::string_view text) {
  std::string_view digits = text;
  const bool negative = digits.starts_with('-');
  if (negative || digits.starts_with('+')) digits.remove_prefix(1);
  int base = 10;
  if (digits.starts_with("0x")) base = 16;
  if (digits.starts_with("0o")) base = 8;
  if (base != 10) digits.remove_prefix(2);
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  if (error == std::errc::invalid_argument || end != digits.data() + digits.size()) {
    return complain(concat(quote(text), " is not a whole number"), "for example 10");
  }
  if (error != std::errc() || magnitude > std::numeric_limits<std::int64_t>::max()) {
    return complain(concat(quote(text), " is too large a number"), "");
  }
  const auto value = static_cast<std::int64_t>(magnitude);
  return negative ? -value : value;
}

Parsed<std::int64_t> parse_duration(std::string_view text) {
  static constexpr std::string_view kHint = "for example 100ms, 5s, 1m30s, 1h";
  if (text == "0") return 0;
  std::int64_t total = 0;
  std::string_view rest = text;
  std::int64_t last_factor = std::numeric_limits<std::int64_t>::max();
  do {
    const auto number = take_number(rest);
    std::string_view behind =
        rest.substr(std::min(rest.find_first_not_of(".0123456789"), rest.size()));
    if (!number) {
      return complain(concat(quote(text), " is not a duration"), std::string(kHint));
    }
    if (behind.empty()) {
      return complain(concat("the duration ", quote(text), " lacks its unit"),
                      concat("for example ", text, "ms or ", text, "s"));
    }
    const std::string_view name = behind.substr(0, behind.find_first_of("0123456789"));
    const auto unit = std::ranges::find(kDurationUnits, name, &Unit::name);
    // Units fall, as in 1h30m: "5s1h" is more likely a slip than meant.
    const bool known = unit != kDurationUnits.end() && unit->factor < last_factor;
    const auto fraction = known ? take_fraction(rest, unit->factor) : std::nullopt;
    if (!fraction || rest.data() != behind.data()) {
      return complain(concat(quote(text), " is not a duration"), std::string(kHint));
    }
    const auto part = multiply(*number, unit->factor);
    if (!part || __builtin_add_overflow(total, *part, &total) ||
        __builtin_add_overflow(total, *fraction, &total)) {
      return complain(concat("the duration ", quote(text), " is too long"), "");
    }
    last_factor = unit->factor;
    rest.remove_prefix(name.size());
  } while (!rest.empty());
  return total / kMillisecond + (total % kMillisecond != 0 ? 1 : 0);
}

Parsed<std::int64_t> parse_size(std::string_view text) {
  std::string_view rest = text;
  const auto number = take_number(rest);
  while (rest.starts_with(' ')) rest.remove_prefix(1);
  const auto unit = std::ranges::find_if(
      kSizeUnits, [&](const Unit& known) { return same_ignoring_case(known.name, rest); });
  if (!number || (!rest.empty() && unit == kSizeUnits.end())) {
    return complain(concat(quote(text), " is not a size"),
                    "for example 64KiB, 16MB, 1GiB or a number of bytes; MB is 2^20");
  }
  const auto bytes = multiply(*number, rest.empty() ? 1 : unit->factor);
  if (!bytes) return complain(concat("the size ", quote(text), " is too large"), "");
  return *bytes;
}

std::string format_duration(std::int64_t milliseconds) {
  if (milliseconds == 0) return "0s";
  std::string out;
  for (const Unit& unit : kDurationUnits) {
    if (unit.name == "d") continue;  // 24h is as clear
    const std::int64_t factor = unit.factor / kMillisecond;
    if (factor == 0) break;
    const std::int64_t count = milliseconds / factor;
    if (count != 0) out += concat(std::to_string(count), unit.name);
    milliseconds %= factor;
  }
  return out;
}

std::string format_size(std::int64_t bytes) {
  for (const Unit& unit : kSizeUnits) {
    if (bytes != 0 && unit.factor > 1 && bytes % unit.factor == 0) {
      return concat(std::to_string(bytes / unit.factor), unit.name);
    }
  }
  return std::to_string(bytes);
}

Parsed<std::string> expand_variables(std::string_view text) {
  std::string out;
  while (true) {
    const std::size_t dollar = text.find("${");
    if (dollar == std::string_view::npos) return out.append(text);
    if (dollar > 0 && text[dollar - 1] == '$') {
      out.append(text.substr(0, dollar - 1)).append("${");
      text.remove_prefix(dollar + 2);
      continue;
    }
    out.append(text.substr(0, dollar));
    const std::size_t end = text.find('}', dollar);
    if (end == std::string_view::npos) {
      return complain("${ without its }", "for example ${PORT}; write $${ for a literal ${");
    }
    const auto value = variable(text.substr(dollar + 2, end - dollar - 2));
    if (!value) return std::unexpected(value.error());
    out += *value;
    text.remove_prefix(end + 1);
  }
}

std::string escape_variables(std::string text) {
  for (std::size_t at = text.find("${"); at != std::string::npos; at = text.find("${", at + 3)) {
    text.insert(at, 1, '$');
  }
  return text;
}

}  // namespace heddle::config
