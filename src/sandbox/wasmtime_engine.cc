#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cctype>
#include <cstring>

#include "sandbox/address_space.h"
#include "sandbox/wasmtime_api.h"

#if __has_feature(thread_sanitizer)
// The engine turns a fault of guest code into a trap in its signal handler, and allocates the
// backtrace there. The fault is synchronous and in guest code only, which holds no lock of the
// allocator; TSan cannot tell.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "signal:heddle::sandbox::\n";
}
#endif

namespace heddle::sandbox {
namespace {

constexpr std::uint64_t kGuestSpace = std::uint64_t{4}
                                      << 30U;  // all that a 32-bit guest can address
constexpr std::uint64_t kGuard = std::uint64_t{32}
                                 << 20U;         // lets the compiler leave out bounds checks
constexpr std::size_t kTableElements = 100'000;  // big C++ and Go programs
constexpr std::size_t kTableElementBytes = 16;
constexpr std::uint32_t kTablesPerModule = 4;
constexpr std::size_t kTableKeepResident = std::size_t{64} * 1024;
constexpr std::size_t kInstanceBytes = std::size_t{4}
                                       << 20U;  // the engine's own data for one instance
// What host functions of a suspendable guest have of its stack beyond the guest's own part.
constexpr std::size_t kHostStack = std::size_t{512} * 1024;

// Wasm features stay at the engine's defaults (reference types, bulk memory, multi-value, SIMD,
// tail calls, ...).
void configure_code(wasm_config_t* config, const EngineOptions& options) {
  wasmtime_config_strategy_set(config, WASMTIME_STRATEGY_CRANELIFT);
  wasmtime_config_cranelift_opt_level_set(config, WASMTIME_OPT_LEVEL_SPEED);
#if !__has_feature(thread_sanitizer)
  // TSan does not see how the compiler's Rust threads synchronise.
  wasmtime_config_parallel_compilation_set(config, true);
#else
  wasmtime_config_parallel_compilation_set(config, false);
#endif
  wasmtime_config_epoch_interruption_set(config, true);
  wasmtime_config_max_wasm_stack_set(config, options.guest_stack);
  wasmtime_config_async_stack_size_set(config, options.guest_stack + kHostStack);
  wasmtime_config_memory_init_cow_set(config, true);
  wasmtime_config_memory_reservation_set(config, kGuestSpace);
  wasmtime_config_memory_guard_size_set(config, kGuard);
  // Backtraces walk frame pointers; unwind tables would only make code bigger and slower to load.
  wasmtime_config_native_unwind_info_set(config, false);
}

void configure_pool(wasm_config_t* config, const EngineOptions& options, std::uint32_t slots) {
  const PoolConfigHandle pool(wasmtime_pooling_allocation_config_new());
  wasmtime_pooling_allocation_config_total_core_instances_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_memories_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_tables_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_gc_heaps_set(pool.get(), slots);
  wasmtime_pooling_allocation_config_total_stacks_set(
      pool.get(), std::min(slots, options.suspendable_instances));
  wasmtime_pooling_allocation_config_max_memory_size_set(pool.get(), kGuestSpace);
  wasmtime_pooling_allocation_config_table_elements_set(pool.get(), kTableElements);
  wasmtime_pooling_allocation_config_max_tables_per_module_set(pool.get(), kTablesPerModule);
  wasmtime_pooling_allocation_config_max_core_instance_size_set(pool.get(), kInstanceBytes);
  wasmtime_pooling_allocation_config_linear_memory_keep_resident_set(pool.get(),
                                                                     options.memory_keep_resident);
  wasmtime_pooling_allocation_config_table_keep_resident_set(pool.get(), kTableKeepResident);
  heddle_wasmtime_pooling_pagemap_scan_auto(pool.get());
  wasmtime_pooling_allocation_strategy_set(config, pool.get());
}

void advance_epoch(void* engine) {
  wasmtime_engine_increment_epoch(static_cast<const wasm_engine_t*>(engine));
}

// Text format starts with a parenthesis or a comment.
bool looks_like_wat(std::string_view bytes) {
  const auto start = std::ranges::find_if_not(
      bytes, [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; });
  if (start == bytes.end()) return false;
  return *start == '(' || std::string_view(start, bytes.end()).starts_with(";;");
}

Error compile_error(const wasmtime_error_t& error) {
  const std::string text = one_line(error_text(error));
  const bool feature = text.contains("proposal") || text.contains("support is not enabled") ||
                       text.contains("feature is not enabled") || text.contains("not supported");
  return {ErrorKind::kInvalidArgument,
          (feature ? "needs a Wasm feature that Heddle does not offer: " : "") + text};
}

}  // namespace

std::string error_text(const wasmtime_error_t& error) {
  ByteVector message;
  wasmtime_error_message(&error, message.out());
  return std::string(message.text());
}

std::string one_line(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    // "Caused by:" and the numbers of several causes.
    if (line.empty() || line == "Caused by:") continue;
    if (line.size() > 3 && std::isdigit(static_cast<unsigned char>(line[0])) != 0 &&
        line.substr(1, 2) == ": ") {
      line.remove_prefix(3);
    }
    if (!out.empty()) out += ": ";
    out += line;
  }
  return out;
}

SandboxMetrics::SandboxMetrics(metrics::Registry& registry)
    : compiled(registry.counter("heddle_sandbox_modules_total", "Modules made ready to run",
                                {{"source", "compiler"}})),
      loaded(registry.counter("heddle_sandbox_modules_total", "Modules made ready to run",
                              {{"source", "cache"}})),
      created(registry.counter("heddle_sandbox_instances_created_total", "Instances created", {})),
      destroyed(
          registry.counter("heddle_sandbox_instances_destroyed_total", "Instances destroyed", {})),
      pool_full(registry.counter("heddle_sandbox_pool_full_total",
                                 "Instances refused because every slot was in use", {})),
      suspendable_full(registry.counter(
          "heddle_sandbox_suspendable_full_total",
          "Instances refused because engine.suspendable_instances existed already", {})),
      suspended(registry.gauge("heddle_sandbox_suspended_guests",
                               "Guests that wait for a host call", {})),
      denied_memory(registry.counter("heddle_sandbox_denied_growths_total",
                                     "Growths denied by a plugin's limits", {{"of", "memory"}})),
      denied_table(registry.counter("heddle_sandbox_denied_growths_total",
                                    "Growths denied by a plugin's limits", {{"of", "table"}})) {
  for (std::size_t i = 0; i < traps.size(); ++i) {
    traps[i] = registry.counter("heddle_sandbox_traps_total", "Guest calls that ended in a trap",
                                {{"reason", std::string(to_string(static_cast<TrapReason>(i)))}});
  }
}

Result<std::unique_ptr<Engine>> Engine::create(const EngineOptions& options, Log& log,
                                               metrics::Registry& registry) {
  const SlotCost cost{.reserved_bytes = kGuestSpace + kGuard + kTableElements * kTableElementBytes};
  const auto slots = fit_slots(options.instances + options.suspendable_instances, cost, log);
  if (!slots) return std::unexpected(slots.error());

  ConfigHandle config(wasm_config_new());
  configure_code(config.get(), options);
  if (options.strategy == Strategy::kPulley) {
    // Cranelift compiles to the interpreter's own code instead of the machine's.
    if (const ErrorHandle error{wasmtime_config_target_set(config.get(), "pulley64")}) {
      return fail(ErrorKind::kInternal, "Pulley: " + one_line(error_text(*error)));
    }
  }
  configure_pool(config.get(), options, *slots);
  EngineHandle handle(wasm_engine_new_with_config(config.release()));
  if (handle == nullptr) return fail(ErrorKind::kInternal, "the Wasm engine refused its settings");
  return std::make_unique<WasmtimeEngine>(std::move(handle), options, *slots, log, registry);
}

WasmtimeEngine::WasmtimeEngine(EngineHandle handle, const EngineOptions& options,
                               std::uint32_t slots, Log& log, metrics::Registry& registry)
    : handle_(std::move(handle)),
      slots_(slots),
      suspendable_limit_(std::min(slots, options.suspendable_instances)),
      waits_(make_wait_linker(handle_.get())),
      log_(log),
      metrics_(registry),
      cache_(options.cache_dir, heddle_wasmtime_engine_compatibility(handle_.get()), log),
      ticker_(options.tick, &advance_epoch, handle_.get()) {}

Result<std::shared_ptr<const Module>> WasmtimeEngine::compile(std::span<const std::byte> bytes,
                                                              std::string_view name) {
  const auto within = [&](Error error) {
    return std::unexpected(std::move(error).within(fmt::format("module {}: ", name)));
  };
  std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  ByteVector from_wat;
  if (!has_wasm_magic(text) && looks_like_wat(text)) {
    if (const ErrorHandle error{wasmtime_wat2wasm(text.data(), text.size(), from_wat.out())}) {
      return within({ErrorKind::kInvalidArgument, "bad text format: " + error_text(*error)});
    }
    bytes = from_wat.span();
    text = from_wat.text();
  }
  auto sections = parse_module_sections(text);
  if (!sections) return within(std::move(sections.error()));

  std::string sha256 = sha256_hex(bytes);
  bool from_cache = false;
  auto module = build(bytes, sha256, from_cache);
  if (!module) return within(std::move(module.error()));
  return std::make_shared<WasmtimeModule>(*this, std::move(*module), name, std::move(*sections),
                                          bytes.size(), std::move(sha256), from_cache);
}

Result<ModuleHandle> WasmtimeEngine::build(std::span<const std::byte> binary,
                                           const std::string& sha256, bool& from_cache) {
  wasmtime_module_t* module = nullptr;
  if (const auto path = cache_.find(sha256)) {
    const ErrorHandle error{
        wasmtime_module_deserialize_file(handle_.get(), path->c_str(), &module)};
    if (error == nullptr) {
      from_cache = true;
      metrics_.loaded->add();
      return ModuleHandle(module);
    }
    log_.warn("compile cache: entry not usable",
              {{"file", *path}, {"reason", one_line(error_text(*error))}});
  }
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(binary.data());
  if (const ErrorHandle error{wasmtime_module_new(handle_.get(), bytes, binary.size(), &module)}) {
    return std::unexpected(compile_error(*error));
  }
  ModuleHandle out(module);
  metrics_.compiled->add();
  if (cache_.enabled()) {
    ByteVector code;
    if (const ErrorHandle error{wasmtime_module_serialize(module, code.out())}) {
      log_.warn("compile cache: not stored", {{"reason", one_line(error_text(*error))}});
    } else {
      cache_.store(sha256, code.span());
    }
  }
  return out;
}

WasmtimeModule::WasmtimeModule(WasmtimeEngine& engine, ModuleHandle handle, std::string_view name,
                               ModuleSections sections, std::size_t size, std::string sha256,
                               bool from_cache)
    : engine_(engine),
      handle_(std::move(handle)),
      name_(name),
      imports_(std::move(sections.imports)),
      exports_(std::move(sections.exports)),
      initial_memory_(sections.initial_memory),
      maximum_memory_(sections.maximum_memory),
      size_(size),
      sha256_(std::move(sha256)),
      from_cache_(from_cache) {
  for (const ModuleSections::Custom& custom : sections.custom) {
    // Debug information is most of many modules, and nothing at run time reads it from here.
    const bool debugging = custom.name.starts_with(".debug_") || custom.name == "name";
    custom_.push_back({std::string(custom.name), custom.bytes.size()});
    custom_bytes_.emplace_back(debugging ? std::string_view() : custom.bytes);
  }
  for (const Export& item : exports_) {
    by_name_.emplace(item.name, &item);
    if (item.kind != ExternKind::kMemory) continue;
    if (memory_export_.empty() || item.name == "memory") memory_export_ = item.name;
  }
}

std::optional<std::string_view> WasmtimeModule::custom_section(std::string_view name) const {
  for (std::size_t i = 0; i < custom_.size(); ++i) {
    if (custom_[i].name == name) return custom_bytes_[i];
  }
  return std::nullopt;
}

}  // namespace heddle::sandbox
