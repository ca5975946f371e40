#include "contracts/native_hook/elf_check.h"

#include <elf.h>
#include <fmt/format.h>

#include <bit>
#include <cstring>
#include <string>

namespace heddle::native_hook {
namespace {

#if defined(__x86_64__)
constexpr Elf64_Half kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr Elf64_Half kMachine = EM_AARCH64;
#endif

std::string machine_name(Elf64_Half machine) {
  switch (machine) {
    case EM_X86_64:
      return "x86-64";
    case EM_AARCH64:
      return "aarch64";
    case EM_386:
      return "x86 (32 bit)";
    case EM_ARM:
      return "arm (32 bit)";
    case EM_RISCV:
      return "RISC-V";
    default:
      return fmt::format("ELF machine {}", machine);
  }
}

std::unexpected<Error> refuse(std::string text) {
  return fail(ErrorKind::kInvalidArgument, std::move(text));
}

}  // namespace

bool has_elf_magic(std::span<const std::byte> file) {
  return file.size() >= SELFMAG && std::memcmp(file.data(), ELFMAG, SELFMAG) == 0;
}

Result<void> check_shared_object(std::span<const std::byte> file) {
  if (!has_elf_magic(file)) {
    return refuse("is no shared object (ELF); build the plugin with -shared -fPIC");
  }
  Elf64_Ehdr header;
  if (file.size() < sizeof header) return refuse("is a truncated shared object; copy it again");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return refuse("is a shared object of a big-endian machine; build the plugin for " +
                  machine_name(kMachine));
  }
  if (header.e_machine != kMachine || header.e_ident[EI_CLASS] != ELFCLASS64) {
    return refuse(fmt::format("is built for {}, this server runs on {}; build the plugin for it",
                              machine_name(header.e_machine), machine_name(kMachine)));
  }
  if (header.e_type != ET_DYN) {
    return refuse("is an ELF file, but no shared object; build the plugin with -shared -fPIC");
  }
  const std::uint64_t headers = header.e_phoff + std::uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phoff > file.size() || headers > file.size()) {
    return refuse("is a truncated shared object; copy it again");
  }
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part;
    std::memcpy(&part, file.data() + header.e_phoff + i * sizeof part, sizeof part);
    if (part.p_offset > file.size() || part.p_filesz > file.size() - part.p_offset) {
      return refuse("is a truncated shared object; copy it again");
    }
  }
  return {};
}

}  // namespace heddle::native_hook
