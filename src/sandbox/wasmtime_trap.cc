#include <fmt/format.h>

#include <algorithm>

#include "sandbox/wasmtime_api.h"

namespace heddle::sandbox {
namespace {

constexpr std::size_t kMaxFrames = 20;
constexpr std::size_t kMaxFrameName = 300;

constexpr std::array<std::string_view, 13> kReasonNames = {
    "unreachable", "out_of_bounds", "stack_overflow", "arithmetic",      "indirect_call",
    "timeout",     "memory_limit",  "table_limit",    "host_call_limit", "exit",
    "host",        "cpu_limit",     "other"};

struct Code {
  wasmtime_trap_code_t code;
  TrapReason reason;
  std::string_view message;
};

constexpr Code kCodes[] = {
    {WASMTIME_TRAP_CODE_UNREACHABLE_CODE_REACHED, TrapReason::kUnreachable,
     "unreachable executed (abort, panic or failed assertion)"},
    {WASMTIME_TRAP_CODE_MEMORY_OUT_OF_BOUNDS, TrapReason::kOutOfBounds,
     "memory access out of bounds"},
    {WASMTIME_TRAP_CODE_TABLE_OUT_OF_BOUNDS, TrapReason::kOutOfBounds,
     "table access out of bounds"},
    {WASMTIME_TRAP_CODE_ARRAY_OUT_OF_BOUNDS, TrapReason::kOutOfBounds,
     "array access out of bounds"},
    {WASMTIME_TRAP_CODE_HEAP_MISALIGNED, TrapReason::kOutOfBounds, "misaligned atomic access"},
    {WASMTIME_TRAP_CODE_STACK_OVERFLOW, TrapReason::kStackOverflow, "call stack exhausted"},
    {WASMTIME_TRAP_CODE_INTEGER_OVERFLOW, TrapReason::kArithmetic, "integer overflow"},
    {WASMTIME_TRAP_CODE_INTEGER_DIVISION_BY_ZERO, TrapReason::kArithmetic,
     "integer division by zero"},
    {WASMTIME_TRAP_CODE_BAD_CONVERSION_TO_INTEGER, TrapReason::kArithmetic,
     "float to integer conversion out of range"},
    {WASMTIME_TRAP_CODE_INDIRECT_CALL_TO_NULL, TrapReason::kIndirectCall,
     "indirect call to a null table entry"},
    {WASMTIME_TRAP_CODE_BAD_SIGNATURE, TrapReason::kIndirectCall,
     "indirect call to a function of another type"},
    {WASMTIME_TRAP_CODE_NULL_REFERENCE, TrapReason::kIndirectCall, "call to a null reference"},
    {WASMTIME_TRAP_CODE_INTERRUPT, TrapReason::kTimeout, "interrupted"},
    {WASMTIME_TRAP_CODE_CAST_FAILURE, TrapReason::kOther, "reference cast failed"},
    {WASMTIME_TRAP_CODE_ALLOCATION_TOO_LARGE, TrapReason::kOther, "allocation too large"},
    {WASMTIME_TRAP_CODE_ATOMIC_WAIT_NON_SHARED_MEMORY, TrapReason::kOther,
     "atomic wait on memory that is not shared"},
};

// The last line of the engine's text is the root cause; those before it hold the backtrace.
std::string root_cause(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == '\0')) text.remove_suffix(1);
  std::string_view line = text.substr(text.rfind('\n') + 1);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  for (const std::string_view prefix : {"0: ", "1: ", "2: "}) {
    if (line.starts_with(prefix)) line.remove_prefix(prefix.size());
  }
  return std::string(line);
}

class Frames {
 public:
  Frames(const wasm_trap_t* trap, const wasmtime_error_t* error) {
    if (trap != nullptr) {
      wasm_trap_trace(trap, &frames_);
    } else {
      wasmtime_error_wasm_trace(error, &frames_);
    }
  }
  Frames(const Frames&) = delete;
  Frames& operator=(const Frames&) = delete;
  ~Frames() { wasm_frame_vec_delete(&frames_); }
  std::span<wasm_frame_t* const> all() const { return {frames_.data, frames_.size}; }

 private:
  wasm_frame_vec_t frames_{};
};

std::string frame_name(const wasm_frame_t* frame) {
  const wasm_name_t* name = wasmtime_frame_func_name(frame);
  std::array<char, kMaxFrameName> readable{};
  std::size_t length = 0;
  if (name != nullptr && name->size > 0) {
    length = heddle_wasmtime_demangle(name->data, name->size, readable.data(), readable.size());
  }
  if (length == 0) return fmt::format("function {}", wasm_frame_func_index(frame));
  std::string out(readable.data(), length);
  // A name may hold anything; a frame is one line.
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  return out;
}

}  // namespace

std::string_view to_string(TrapReason reason) {
  return kReasonNames[static_cast<std::size_t>(reason)];
}

std::optional<std::string_view> limit_of(TrapReason reason) {
  switch (reason) {
    case TrapReason::kTimeout:
      return "timeout";
    case TrapReason::kTableLimit:
      return "table_elements";
    case TrapReason::kHostCallLimit:
      return "host_calls";
    case TrapReason::kCpuLimit:
      return "cpu_limit";
    default:
      return std::nullopt;
  }
}

std::string to_string(const Trap& trap) {
  std::string out = fmt::format("{}: {}", trap.function, trap.message);
  const std::string reason = fmt::format("({})", to_string(trap.reason));
  if (!trap.message.ends_with(reason)) out += " " + reason;
  return out;
}

std::string backtrace_of(const wasm_trap_t* trap, const wasmtime_error_t* error) {
  const Frames frames(trap, error);
  const auto all = frames.all();
  std::string out;
  for (const wasm_frame_t* frame : all.first(std::min(all.size(), kMaxFrames))) {
    if (!out.empty()) out += '\n';
    out += frame_name(frame);
    const std::size_t offset = wasm_frame_module_offset(frame);
    if (offset != SIZE_MAX) out += fmt::format(" @0x{:x}", offset);
  }
  return out;
}

Trap describe_trap(const wasm_trap_t* trap, const wasmtime_error_t* error) {
  Trap out;
  wasmtime_trap_code_t code = 0;
  if (trap != nullptr && wasmtime_trap_code(trap, &code)) {
    const auto* known = std::ranges::find(kCodes, code, &Code::code);
    if (known != std::end(kCodes)) {
      out.reason = known->reason;
      out.message = known->message;
      return out;
    }
  }
  if (trap != nullptr) {
    ByteVector message;
    wasm_trap_message(trap, message.out());
    out.message = root_cause(message.text());
    return out;
  }
  out.message = root_cause(error_text(*error));
  constexpr std::string_view kMissing = "unknown import: ";
  if (out.message.starts_with(kMissing)) {
    // What the engine raises for an import that LinkedModule::Options::allow_missing let through.
    out.reason = TrapReason::kHost;
    out.message = "called an import that Heddle lacks: " + out.message.substr(kMissing.size());
  }
  return out;
}

}  // namespace heddle::sandbox
