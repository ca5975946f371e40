#include "sandbox/custom_section.h"

#include <cstdint>

#include "sandbox/module_sections.h"

namespace heddle::sandbox {
namespace {

constexpr std::size_t kHeader = 8;  // magic and version

void append_leb(std::string& out, std::size_t value) {
  do {
    const auto low = static_cast<unsigned char>(value & 0x7FU);
    value >>= 7U;
    out += static_cast<char>(value != 0 ? low | 0x80U : low);
  } while (value != 0);
}

// Of bytes that were parsed before.
std::size_t read_leb(std::string_view bytes, std::size_t& at) {
  std::size_t out = 0;
  for (unsigned shift = 0; at < bytes.size(); shift += 7) {
    const auto next = static_cast<unsigned char>(bytes[at++]);
    out |= std::size_t{next & 0x7FU} << shift;
    if ((next & 0x80U) == 0) break;
  }
  return out;
}

}  // namespace

Result<std::string> set_custom_section(std::string_view module, std::string_view name,
                                       std::string_view content) {
  if (auto parsed = parse_module_sections(module); !parsed) {
    return std::unexpected(std::move(parsed.error()));
  }
  std::string body;
  append_leb(body, name.size());
  body += name;
  body += content;
  std::string out(module.substr(0, kHeader));
  out += '\0';
  append_leb(out, body.size());
  out += body;
  for (std::size_t at = kHeader; at < module.size();) {
    const std::size_t start = at;
    const char id = module[at++];
    const std::size_t size = read_leb(module, at);
    const std::size_t end = at + size;
    const std::size_t length = id == 0 ? read_leb(module, at) : 0;
    const bool replaced = id == 0 && module.substr(at, length) == name;
    if (!replaced) out += module.substr(start, end - start);
    at = end;
  }
  return out;
}

}  // namespace heddle::sandbox
