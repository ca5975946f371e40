// Scanning of heads, 16 bytes at a time where the processor can.
#pragma once

#include <bit>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

namespace heddle::http {

inline bool is_value_char(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return (byte >= 0x20 && byte != 0x7F) || byte == '\t';
}

inline bool is_target_char(char c) {
  return c > 0x20 && c < 0x7F && c != '#';
}

// The first byte of [next, end) that cannot stand in a field value: a control character other than
// HTAB.
inline char* scan_value(char* next, char* end) {
#ifdef __SSE2__
  const __m128i last_control = _mm_set1_epi8(0x1F);
  const __m128i tab = _mm_set1_epi8('\t');
  const __m128i del = _mm_set1_epi8(0x7F);
  while (end - next >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(next));
    const __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(bytes, last_control), bytes);
    const __m128i bad = _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(bytes, tab), control),
                                     _mm_cmpeq_epi8(bytes, del));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(bad));
    if (mask != 0) return next + std::countr_zero(mask);
    next += 16;
  }
#endif
  while (next != end && is_value_char(*next)) ++next;
  return next;
}

// The first byte that cannot stand in a request target: not visible ASCII, or '#', since no
// fragment is ever sent.
inline char* scan_target(char* next, char* end) {
#ifdef __SSE2__
  const __m128i space = _mm_set1_epi8(0x20);
  const __m128i del = _mm_set1_epi8(0x7F);
  const __m128i hash = _mm_set1_epi8('#');
  while (end - next >= 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(next));
    // Signed comparison: bytes from 0x80 on are below the space too.
    const __m128i bad = _mm_or_si128(_mm_cmpeq_epi8(bytes, del), _mm_cmpeq_epi8(bytes, hash));
    const __m128i good = _mm_andnot_si128(bad, _mm_cmpgt_epi8(bytes, space));
    const auto mask = static_cast<unsigned>(_mm_movemask_epi8(good)) ^ 0xFFFFU;
    if (mask != 0) return next + std::countr_zero(mask);
    next += 16;
  }
#endif
  while (next != end && is_target_char(*next)) ++next;
  return next;
}

}  // namespace heddle::http
