// One statement of the message store with its parameters, and the rows that come of it; both in
// PostgreSQL's binary format, so that keys and payloads go as they are.
#pragma once

#include <libpq-fe.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace heddle::messaging {

// The statements that every connection prepares (postgres_statements.cc).
enum class Statement : std::uint8_t {
  kCreateAccount,
  kAccountByName,
  kAccountByKey,
  kAddSession,
  kSession,
  kRemoveSession,
  kOpenChannel,
  kChannel,
  kRepeated,
  kStore,
  kFetch,
  kPeek,
  kAcknowledge,
  kExpire,
  kTakeTurn,
  kLastSeq,
  kEndTurn,
  kFreeCommit,
  kCount,
};
const char* text_of(Statement statement);

// int8: big-endian; bool: one byte; text and bytea: as they are.
std::string postgres_binary(std::int64_t value);

class PostgresCall {
 public:
  template <typename... Values>
  explicit PostgresCall(Statement statement, Values&&... values) : statement_(statement) {
    parameters_.reserve(sizeof...(values));
    (add(std::forward<Values>(values)), ...);
  }

  Statement statement() const { return statement_; }
  const std::vector<std::optional<std::string>>& parameters() const { return parameters_; }

 private:
  void add(std::string value) { parameters_.emplace_back(std::move(value)); }
  void add(std::optional<std::string> value) { parameters_.push_back(std::move(value)); }
  void add(bool value) { parameters_.emplace_back(std::string(1, value ? '\1' : '\0')); }
  template <std::integral Number>
    requires(!std::same_as<Number, bool>)
  void add(Number value) {
    static_assert(sizeof value == 8, "statements take bigint");
    parameters_.emplace_back(postgres_binary(static_cast<std::int64_t>(value)));
  }

  Statement statement_;
  std::vector<std::optional<std::string>> parameters_;  // nothing: NULL
};

// A row of a result, which outlives this.
class PostgresRow {
 public:
  PostgresRow(const PGresult* result, int row) : result_(result), row_(row) {}
  bool is_null(int column) const { return PQgetisnull(result_, row_, column) != 0; }
  bool truth(int column) const {
    return !is_null(column) && *PQgetvalue(result_, row_, column) != 0;
  }
  std::string bytes(int column) const {
    return {PQgetvalue(result_, row_, column),
            static_cast<std::size_t>(PQgetlength(result_, row_, column))};
  }
  std::int64_t number(int column) const;  // int8; NULL is 0
  std::uint64_t count(int column) const { return static_cast<std::uint64_t>(number(column)); }

 private:
  const PGresult* result_;
  int row_;
};

}  // namespace heddle::messaging
