// Host functions, declared once as constexpr table rows:
//
//   std::int32_t get_status(Instance& instance, GuestPtr code, GuestPtr data, GuestPtr size);
//   constexpr HostFunction kTable[] = {host_function<&get_status>("env", "proxy_get_status"), …};
//
// A template makes the Wasm type and the trampoline from the C++ signature: parameters and result
// are (u)int32_t, (u)int64_t, float, double; the result may be void. A function that must end the
// guest calls Instance::raise() and returns anything.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "sandbox/module.h"

namespace heddle::sandbox {

class Instance;

// One parameter or result as the engine passes it: 16 bytes, low bytes hold the value
// (wasmtime_val_raw_t).
struct alignas(8) RawValue {
  std::array<std::byte, 16> bytes;

  template <typename T>
  T get() const {
    T value;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }
  template <typename T>
  void set(T value) {
    if constexpr (sizeof(T) == 4) {
      // The engine reads 32-bit values as the low half of a zeroed 64-bit slot.
      std::uint64_t wide = 0;
      std::memcpy(&wide, &value, sizeof value);
      std::memcpy(bytes.data(), &wide, sizeof wide);
    } else {
      std::memcpy(bytes.data(), &value, sizeof value);
    }
  }
};

template <typename T>
consteval ValueType value_type() {
  if constexpr (std::is_same_v<T, float>) return ValueType::kF32;
  if constexpr (std::is_same_v<T, double>) return ValueType::kF64;
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "not a Wasm value");
  return sizeof(T) == 4 ? ValueType::kI32 : ValueType::kI64;
}

struct HostFunction {
  static constexpr std::size_t kMaxParameters = 16;

  std::string_view module;
  std::string_view name;
  std::array<ValueType, kMaxParameters> parameters{};
  std::uint8_t parameter_count = 0;
  bool has_result = false;
  ValueType result = ValueType::kI32;
  void (*invoke)(Instance& instance, RawValue* values) = nullptr;

  FunctionType type() const;
};

namespace internal {

template <auto Function, typename Result, typename... Args>
struct Trampoline {
  template <std::size_t... I>
  static void run(Instance& instance, RawValue* values, std::index_sequence<I...> /*indices*/) {
    if constexpr (std::is_void_v<Result>) {
      Function(instance, values[I].template get<Args>()...);
    } else {
      const Result result = Function(instance, values[I].template get<Args>()...);
      values[0].template set<Result>(result);
    }
  }
  static void invoke(Instance& instance, RawValue* values) {
    run(instance, values, std::index_sequence_for<Args...>{});
  }
};

template <auto Function, typename Result, typename... Args>
constexpr HostFunction describe(std::string_view module, std::string_view name,
                                Result (* /*function*/)(Instance&, Args...)) {
  static_assert(sizeof...(Args) <= HostFunction::kMaxParameters);
  HostFunction out{.module = module, .name = name};
  std::size_t i = 0;
  ((out.parameters[i++] = value_type<Args>()), ...);
  out.parameter_count = static_cast<std::uint8_t>(sizeof...(Args));
  if constexpr (!std::is_void_v<Result>) {
    out.has_result = true;
    out.result = value_type<Result>();
  }
  out.invoke = &Trampoline<Function, Result, Args...>::invoke;
  return out;
}

}  // namespace internal

template <auto Function>
constexpr HostFunction host_function(std::string_view module, std::string_view name) {
  return internal::describe<Function>(module, name, Function);
}

}  // namespace heddle::sandbox
