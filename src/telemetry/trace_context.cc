#include "telemetry/trace_context.h"

#include <sys/random.h>

#include <algorithm>
#include <bit>
#include <cstdint>

#include "base/clock.h"

namespace heddle::telemetry {
namespace {

constexpr std::string_view kHex = "0123456789abcdef";

bool is_lower_hex(std::string_view text) {
  return std::ranges::all_of(
      text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool all_zero(std::string_view text) {
  return text.find_first_not_of('0') == std::string_view::npos;
}

// xoshiro256++ (Blackman, Vigna), one for each thread: ids must differ, not be secret.
class Generator {
 public:
  Generator() {
    // Early in a boot the kernel may have nothing yet; the clock and the address still tell threads
    // apart.
    if (getrandom(state_.data(), sizeof(state_), GRND_NONBLOCK) != sizeof(state_)) {
      state_ = {static_cast<std::uint64_t>(wall_now()), std::bit_cast<std::uint64_t>(this),
                static_cast<std::uint64_t>(monotonic_now()), 0x9e3779b97f4a7c15U};
    }
    if (std::ranges::all_of(state_, [](std::uint64_t word) { return word == 0; })) state_[0] = 1;
  }

  std::uint64_t next() {
    const std::uint64_t result = std::rotl(state_[0] + state_[3], 23) + state_[0];
    const std::uint64_t shifted = state_[1] << 17U;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= shifted;
    state_[3] = std::rotl(state_[3], 45);
    return result;
  }

 private:
  std::array<std::uint64_t, 4> state_{};
};

std::uint64_t random_word() {
  thread_local Generator generator;
  return generator.next();
}

// 16 digits at `out`.
void write_hex(std::uint64_t word, char* out) {
  for (int shift = 60; shift >= 0; shift -= 4)
    *out++ = kHex[(word >> static_cast<unsigned>(shift)) & 15U];
}

}  // namespace

std::optional<TraceParent> TraceParent::parse(std::string_view header) {
  if (header.size() < kSize) return std::nullopt;
  const std::string_view version = header.substr(0, 2);
  if (!is_lower_hex(version) || version == "ff") return std::nullopt;
  if (header.size() > kSize && (version == "00" || header[kSize] != '-')) return std::nullopt;
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return std::nullopt;
  const std::string_view trace_id = header.substr(3, 32);
  const std::string_view parent_id = header.substr(36, 16);
  const std::string_view flags = header.substr(53, 2);
  if (!is_lower_hex(trace_id) || !is_lower_hex(parent_id) || !is_lower_hex(flags))
    return std::nullopt;
  if (all_zero(trace_id) || all_zero(parent_id)) return std::nullopt;
  TraceParent out;
  std::ranges::copy(header.substr(0, kSize), out.text_.begin());
  return out;
}

TraceParent TraceParent::generate(bool sampled) {
  TraceParent out;
  constexpr std::string_view kShape = "00-................................-................-00";
  static_assert(kShape.size() == kSize);
  std::ranges::copy(kShape, out.text_.begin());
  const auto non_zero = [] {
    std::uint64_t word = random_word();
    while (word == 0) word = random_word();
    return word;
  };
  write_hex(random_word(), out.text_.data() + 3);
  write_hex(non_zero(), out.text_.data() + 19);
  write_hex(non_zero(), out.text_.data() + 36);
  if (sampled) out.text_.back() = '1';
  return out;
}

bool TraceParent::sampled() const {
  const char last = text_.back();
  const int digit = last >= 'a' ? last - 'a' + 10 : last - '0';
  return digit % 2 == 1;
}

std::array<char, 36> random_uuid() {
  // Version 4 and the variant of RFC 9562.
  const std::uint64_t high = (random_word() & ~std::uint64_t{0xf000}) | 0x4000U;
  const std::uint64_t low =
      (random_word() & ~(std::uint64_t{3} << 62U)) | (std::uint64_t{1} << 63U);
  std::array<char, 32> digits{};
  write_hex(high, digits.data());
  write_hex(low, digits.data() + 16);
  std::array<char, 36> out{};
  std::size_t at = 0;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (i == 8 || i == 12 || i == 16 || i == 20) out.at(at++) = '-';
    out.at(at++) = digits.at(i);
  }
  return out;
}

}  // namespace heddle::telemetry
