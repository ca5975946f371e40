#include "messaging/postgres_call.h"

#include <endian.h>

#include <cstring>

namespace heddle::messaging {

std::string postgres_binary(std::int64_t value) {
  const std::uint64_t big = htobe64(static_cast<std::uint64_t>(value));
  std::string out(sizeof big, '\0');
  std::memcpy(out.data(), &big, sizeof big);
  return out;
}

std::int64_t PostgresRow::number(int column) const {
  std::uint64_t big = 0;
  if (PQgetlength(result_, row_, column) != sizeof big) return 0;
  std::memcpy(&big, PQgetvalue(result_, row_, column), sizeof big);
  return static_cast<std::int64_t>(be64toh(big));
}

}  // namespace heddle::messaging
