// A compiled module and what it declares. Immutable; shared by all workers.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heddle::sandbox {

enum class ValueType : std::uint8_t { kI32, kI64, kF32, kF64, kV128, kReference };

struct FunctionType {
  std::vector<ValueType> parameters;
  std::vector<ValueType> results;
  friend bool operator==(const FunctionType&, const FunctionType&) = default;
};
std::string to_string(const FunctionType& type);  // "(i32, i32) -> i32"

enum class ExternKind : std::uint8_t { kFunction, kMemory, kTable, kGlobal, kTag };
std::string_view to_string(ExternKind kind);

struct Import {
  std::string module;
  std::string name;
  ExternKind kind = ExternKind::kFunction;
  FunctionType type;  // of a function
};

struct Export {
  std::string name;
  ExternKind kind = ExternKind::kFunction;
  FunctionType type;  // of a function
};

struct CustomSection {
  std::string name;
  std::size_t size = 0;
};

class Module {
 public:
  virtual ~Module() = default;
  virtual const std::string& name() const = 0;
  virtual std::span<const Import> imports() const = 0;
  virtual std::span<const Export> exports() const = 0;
  virtual std::span<const CustomSection> custom_sections() const = 0;
  // The bytes of the first custom section of this name; those of debug information (.debug_*, name)
  // are not kept: empty.
  virtual std::optional<std::string_view> custom_section(std::string_view name) const = 0;
  virtual std::uint64_t initial_memory_bytes() const = 0;                 // 0 when it has no memory
  virtual std::optional<std::uint64_t> maximum_memory_bytes() const = 0;  // as declared
  virtual std::size_t size() const = 0;           // of the Wasm binary, bytes
  virtual const std::string& sha256() const = 0;  // of the Wasm binary, lower-case hex
  virtual bool from_cache() const = 0;

  const Export* find_export(std::string_view name) const;
};

}  // namespace heddle::sandbox
