#include "sandbox/module.h"

#include <array>

#include "sandbox/host_function.h"

namespace heddle::sandbox {
namespace {

constexpr std::array<std::string_view, 6> kValueNames = {"i32", "i64", "f32", "f64", "v128", "ref"};
constexpr std::array<std::string_view, 5> kExternNames = {"function", "memory", "table", "global",
                                                          "tag"};

void append_list(std::string& out, std::span<const ValueType> types) {
  out += '(';
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (i > 0) out += ", ";
    out += kValueNames[static_cast<std::size_t>(types[i])];
  }
  out += ')';
}

}  // namespace

std::string to_string(const FunctionType& type) {
  std::string out;
  append_list(out, type.parameters);
  out += " -> ";
  if (type.results.size() == 1) {
    out += kValueNames[static_cast<std::size_t>(type.results[0])];
  } else {
    append_list(out, type.results);
  }
  return out;
}

std::string_view to_string(ExternKind kind) {
  return kExternNames[static_cast<std::size_t>(kind)];
}

const Export* Module::find_export(std::string_view name) const {
  for (const Export& item : exports()) {
    if (item.name == name) return &item;
  }
  return nullptr;
}

FunctionType HostFunction::type() const {
  FunctionType out;
  out.parameters.assign(parameters.begin(), parameters.begin() + parameter_count);
  if (has_result) out.results.push_back(result);
  return out;
}

}  // namespace heddle::sandbox
