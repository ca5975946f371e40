/* The version of the headers, which are C and C++ both. The library's own is heddle_version() and
 * heddle::version(). Before 1.0 a change of the minor number may break programs; from then on only
 * one of the major number does. */
#ifndef HEDDLE_VERSION_H_
#define HEDDLE_VERSION_H_

/* Of C too. NOLINTBEGIN(modernize-macro-to-enum) */
#define HEDDLE_VERSION_MAJOR 0
#define HEDDLE_VERSION_MINOR 1
#define HEDDLE_VERSION_PATCH 0
/* NOLINTEND(modernize-macro-to-enum) */
#define HEDDLE_VERSION_STRING "0.1.0"

#if defined(__GNUC__)
#define HEDDLE_EXPORT __attribute__((visibility("default")))
#else
#define HEDDLE_EXPORT
#endif

/* What C++ programs name heddle::Host is heddle::v1::Host to the linker, so that a later, different
 * Host cannot be taken for it. Only the library itself writes v1 in full. */
#ifdef HEDDLE_IMPLEMENTATION
#define HEDDLE_API_BEGIN namespace v1 {
#else
#define HEDDLE_API_BEGIN inline namespace v1 {
#endif
#define HEDDLE_API_END }

#endif
