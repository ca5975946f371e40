#include "sandbox/module_sections.h"

#include <fmt/format.h>

#include <limits>

namespace heddle::sandbox {
namespace {

// Reads forward; the first read past the end, or malformed number, makes every later read yield
// zero.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}

  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  std::size_t left() const { return rest_.size(); }

  std::uint8_t byte() {
    if (rest_.empty()) return fail();
    const auto out = static_cast<std::uint8_t>(rest_.front());
    rest_.remove_prefix(1);
    return out;
  }

  std::uint64_t leb(unsigned bits) {
    std::uint64_t out = 0;
    for (unsigned shift = 0; shift < bits; shift += 7) {
      const std::uint8_t next = byte();
      out |= std::uint64_t{next & 0x7FU} << shift;
      if ((next & 0x80U) == 0) return ok_ ? out : 0;
    }
    return fail();
  }
  std::uint32_t u32() {
    const std::uint64_t out = leb(32);
    return out <= std::numeric_limits<std::uint32_t>::max() ? static_cast<std::uint32_t>(out)
                                                            : fail();
  }

  // A count of items that take at least one byte each, so it cannot exceed what is left.
  std::uint32_t count() {
    const std::uint32_t out = u32();
    return out <= rest_.size() ? out : fail();
  }

  std::string_view bytes(std::size_t length) {
    if (length > rest_.size()) {
      fail();
      return {};
    }
    const std::string_view out = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return out;
  }
  std::string_view name() { return bytes(u32()); }

  std::uint8_t fail() {
    ok_ = false;
    rest_ = {};
    return 0;
  }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

enum SectionId : std::uint8_t {
  kCustom = 0,
  kType = 1,
  kImport = 2,
  kFunction = 3,
  kMemory = 5,
  kExport = 7,
};

constexpr std::array<std::string_view, 14> kSectionNames = {
    "custom", "type",  "import",  "function", "table", "memory",     "global",
    "export", "start", "element", "code",     "data",  "data count", "tag"};

class Parser {
 public:
  Result<ModuleSections> parse(std::string_view bytes);

 private:
  // Each reads one section's body; false when it is malformed.
  bool section(std::uint8_t id, Reader& in);
  bool type_section(Reader& in);
  bool import_section(Reader& in);
  bool function_section(Reader& in);
  bool memory_section(Reader& in);
  bool export_section(Reader& in);
  bool custom_section(Reader& in);

  bool sub_type(Reader& in);
  bool composite_type(std::uint8_t form, Reader& in);
  static ValueType value_type(Reader& in) { return value_type(in.byte(), in); }
  static ValueType value_type(std::uint8_t code, Reader& in);
  static void field_type(Reader& in);
  void memory_type(Reader& in);
  static void limits(Reader& in, std::uint64_t& minimum, std::optional<std::uint64_t>& maximum,
                     unsigned& page_log2);

  // A copy for an import or export; false when there is no such function type. A small module may
  // name one long type a million times, so all copies together are bounded.
  bool copy_type(std::uint32_t type, FunctionType& out);

  std::vector<std::optional<FunctionType>> types_;  // empty: not a function
  std::vector<std::uint32_t> functions_;            // type of each, imports first
  std::size_t copied_ = 0;                          // values in all copies of types
  bool has_memory_ = false;
  ModuleSections out_;
};

bool Parser::copy_type(std::uint32_t type, FunctionType& out) {
  constexpr std::size_t kMostCopied = std::size_t{1} << 22U;
  if (type >= types_.size() || !types_[type]) return false;
  copied_ += types_[type]->parameters.size() + types_[type]->results.size();
  if (copied_ > kMostCopied) return false;
  out = *types_[type];
  return true;
}

ValueType Parser::value_type(std::uint8_t code, Reader& in) {
  switch (code) {
    case 0x7F:
      return ValueType::kI32;
    case 0x7E:
      return ValueType::kI64;
    case 0x7D:
      return ValueType::kF32;
    case 0x7C:
      return ValueType::kF64;
    case 0x7B:
      return ValueType::kV128;
    case 0x63:  // (ref null ht)
    case 0x64:  // (ref ht)
      in.leb(35);
      return ValueType::kReference;
    default:
      if (code < 0x65 || code > 0x74) in.fail();  // the short forms of (ref null <abstract>)
      return ValueType::kReference;
  }
}

void Parser::field_type(Reader& in) {
  const std::uint8_t code = in.byte();
  if (code != 0x78 && code != 0x77) value_type(code, in);  // i8, i16
  in.byte();                                               // mutability
}

bool Parser::composite_type(std::uint8_t form, Reader& in) {
  switch (form) {
    case 0x60: {
      FunctionType type;
      for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) {
        type.parameters.push_back(value_type(in));
      }
      for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) {
        type.results.push_back(value_type(in));
      }
      types_.emplace_back(std::move(type));
      return in.ok();
    }
    case 0x5F:  // struct
      for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) field_type(in);
      break;
    case 0x5E:  // array
      field_type(in);
      break;
    case 0x5D:  // continuation
      in.leb(35);
      break;
    default:
      return false;
  }
  types_.emplace_back();
  return in.ok();
}

bool Parser::sub_type(Reader& in) {
  std::uint8_t form = in.byte();
  if (form == 0x50 || form == 0x4F) {  // sub, sub final: a list of supertypes
    for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) in.u32();
    form = in.byte();
  }
  return composite_type(form, in);
}

bool Parser::type_section(Reader& in) {
  constexpr char kRecursiveGroup = 0x4E;
  for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) {
    Reader ahead = in;
    if (ahead.byte() == kRecursiveGroup) {
      in = ahead;
      for (std::uint32_t member = in.count(); member > 0 && in.ok(); --member) {
        if (!sub_type(in)) return false;
      }
    } else if (!sub_type(in)) {
      return false;
    }
  }
  return in.ok();
}

void Parser::limits(Reader& in, std::uint64_t& minimum, std::optional<std::uint64_t>& maximum,
                    unsigned& page_log2) {
  constexpr unsigned kHasMaximum = 1;
  constexpr unsigned kHasPageSize = 8;
  const std::uint8_t flags = in.byte();
  minimum = in.leb(64);
  if ((flags & kHasMaximum) != 0) maximum = in.leb(64);
  if ((flags & kHasPageSize) != 0) page_log2 = in.u32();
}

void Parser::memory_type(Reader& in) {
  std::uint64_t minimum = 0;
  std::optional<std::uint64_t> maximum;
  unsigned page_log2 = 16;
  limits(in, minimum, maximum, page_log2);
  if (page_log2 > 16) in.fail();
  if (!in.ok() || has_memory_) return;
  const auto bytes = [&](std::uint64_t pages) {
    constexpr std::uint64_t kAll = std::numeric_limits<std::uint64_t>::max();
    return pages > (kAll >> page_log2) ? kAll : pages << page_log2;
  };
  has_memory_ = true;
  out_.initial_memory = bytes(minimum);
  if (maximum) out_.maximum_memory = bytes(*maximum);
}

bool Parser::import_section(Reader& in) {
  for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) {
    Import item;
    item.module = in.name();
    item.name = in.name();
    std::uint64_t minimum = 0;
    std::optional<std::uint64_t> maximum;
    unsigned page_log2 = 0;
    switch (in.byte()) {
      case 0: {
        const std::uint32_t type = in.u32();
        if (!copy_type(type, item.type)) return false;
        functions_.push_back(type);
        break;
      }
      case 1:
        item.kind = ExternKind::kTable;
        value_type(in);
        limits(in, minimum, maximum, page_log2);
        break;
      case 2:
        item.kind = ExternKind::kMemory;
        memory_type(in);
        break;
      case 3:
        item.kind = ExternKind::kGlobal;
        value_type(in);
        in.byte();
        break;
      case 4:
        item.kind = ExternKind::kTag;
        in.byte();
        in.u32();
        break;
      default:
        return false;
    }
    out_.imports.push_back(std::move(item));
  }
  return in.ok();
}

bool Parser::function_section(Reader& in) {
  for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) functions_.push_back(in.u32());
  return in.ok();
}

bool Parser::memory_section(Reader& in) {
  for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) memory_type(in);
  return in.ok();
}

bool Parser::export_section(Reader& in) {
  constexpr std::array kKinds = {ExternKind::kFunction, ExternKind::kTable, ExternKind::kMemory,
                                 ExternKind::kGlobal, ExternKind::kTag};
  for (std::uint32_t i = in.count(); i > 0 && in.ok(); --i) {
    Export item;
    item.name = in.name();
    const std::uint8_t kind = in.byte();
    const std::uint32_t index = in.u32();
    if (kind >= kKinds.size()) return false;
    item.kind = kKinds[kind];
    if (item.kind == ExternKind::kFunction) {
      if (index >= functions_.size()) return false;
      if (!copy_type(functions_[index], item.type)) return false;
    }
    out_.exports.push_back(std::move(item));
  }
  return in.ok();
}

bool Parser::custom_section(Reader& in) {
  ModuleSections::Custom custom;
  custom.name = in.name();
  custom.bytes = in.bytes(in.left());
  if (in.ok()) out_.custom.push_back(custom);
  return in.ok();
}

bool Parser::section(std::uint8_t id, Reader& in) {
  switch (id) {
    case kCustom:
      return custom_section(in);
    case kType:
      return type_section(in) && in.at_end();
    case kImport:
      return import_section(in) && in.at_end();
    case kFunction:
      return function_section(in) && in.at_end();
    case kMemory:
      return memory_section(in) && in.at_end();
    case kExport:
      return export_section(in) && in.at_end();
    default:
      return true;
  }
}

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    out += fmt::format("{}{:02x}", out.empty() ? "" : " ", static_cast<std::uint8_t>(c));
  }
  return out;
}

std::optional<std::string> refuse_header(std::string_view bytes) {
  if (bytes.empty()) return "empty, not a Wasm module";
  if (!has_wasm_magic(bytes)) {
    return fmt::format("not a Wasm module (starts with {})", hex(bytes.substr(0, 8)));
  }
  if (bytes.size() < 8) {
    return fmt::format("truncated: {} bytes, the header alone has 8", bytes.size());
  }
  const std::string_view version = bytes.substr(4, 4);
  if (version == std::string_view("\x01\0\0\0", 4)) return std::nullopt;
  if (version.substr(2) == std::string_view("\x01\0", 2)) {
    return "a Wasm component, not a module: build it for wasm32-wasip1 or wasm32-unknown-unknown";
  }
  return fmt::format("of an unknown Wasm version ({})", hex(version));
}

Result<ModuleSections> Parser::parse(std::string_view bytes) {
  if (auto refused = refuse_header(bytes)) {
    return heddle::fail(ErrorKind::kInvalidArgument, std::move(*refused));
  }
  Reader in(bytes.substr(8));
  while (!in.at_end()) {
    const std::size_t offset = bytes.size() - in.left();
    const std::uint8_t id = in.byte();
    const std::uint32_t size = in.u32();
    const std::string_view name = id < kSectionNames.size() ? kSectionNames[id] : "unknown";
    if (!in.ok()) {
      return heddle::fail(ErrorKind::kInvalidArgument,
                          fmt::format("truncated in the header of the section at byte {}", offset));
    }
    if (size > in.left()) {
      return heddle::fail(
          ErrorKind::kInvalidArgument,
          fmt::format("truncated: the {} section at byte {} has {} bytes, {} are left", name,
                      offset, size, in.left()));
    }
    Reader body(in.bytes(size));
    if (!section(id, body)) {
      return heddle::fail(ErrorKind::kInvalidArgument,
                          fmt::format("malformed {} section at byte {}", name, offset));
    }
  }
  return std::move(out_);
}

}  // namespace

bool has_wasm_magic(std::string_view bytes) {
  constexpr std::string_view kMagic("\0asm", 4);
  return bytes.substr(0, 4) == kMagic.substr(0, bytes.size());
}

Result<ModuleSections> parse_module_sections(std::string_view bytes) {
  return Parser().parse(bytes);
}

}  // namespace heddle::sandbox
