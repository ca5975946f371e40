// What single values mean: numbers, durations, sizes, booleans, ${VAR}.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "config/problems.h"

namespace heddle::config {

template <typename T>
using Parsed = std::expected<T, Complaint>;

Parsed<bool> parse_boolean(std::string_view text);          // true false yes no on off, any case
Parsed<std::int64_t> parse_integer(std::string_view text);  // decimal, 0x.., 0o..
Parsed<std::int64_t> parse_duration(
    std::string_view text);  // in milliseconds, rounded up: 100ms 5s 1.5s 1m30s 1h 1d 500us; 0
Parsed<std::int64_t> parse_size(
    std::string_view text);  // in bytes: 512B 1K 64KiB 16MB 1GiB; K, KB and KiB are 2^10

std::string format_duration(std::int64_t milliseconds);  // "1m30s"
std::string format_size(std::int64_t bytes);             // "64KiB"

// Replaces ${VAR} and ${VAR:-default} by values of the process's environment; $${ stands for ${. An
// unset variable without default is a complaint; an empty one counts as unset only where there is a
// default.
Parsed<std::string> expand_variables(std::string_view text);

// The opposite: text that expands to `text`.
std::string escape_variables(std::string text);

}  // namespace heddle::config
