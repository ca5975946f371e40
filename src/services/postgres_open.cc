#include "services/postgres_open.h"

#include <fmt/format.h>

#include <memory>
#include <string_view>

namespace heddle::services {
namespace {

struct OptionsFree {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};
using Options = std::unique_ptr<PQconninfoOption, OptionsFree>;

void ignore_notice(void* /*context*/, const char* /*message*/) {}

// Null: libpq does not take it. Its words about that quote the URL, with its password.
Options parse(const std::string& url) {
  char* words = nullptr;
  Options out(PQconninfoParse(url.c_str(), &words));
  PQfreemem(words);
  return out;
}

}  // namespace

Result<PostgresHandle> open_postgres(const std::string& url, const PostgresSettings& more,
                                     const PostgresSettings& defaults) {
  if (!parse(url)) {
    return fail(ErrorKind::kInvalidArgument,
                "the database URL cannot be read; it has the form "
                "postgresql://user:password@host:port/database?sslmode=verify-full, with special "
                "characters as %XX");
  }
  // The later one counts.
  std::vector<const char*> keys;
  std::vector<const char*> values;
  const auto add = [&](const PostgresSettings& settings) {
    for (const auto& [key, value] : settings) {
      keys.push_back(key.c_str());
      values.push_back(value.c_str());
    }
  };
  add(defaults);
  keys.push_back("dbname");
  values.push_back(url.c_str());  // expanded, as it is a connection string
  add(more);
  keys.push_back(nullptr);
  values.push_back(nullptr);
  PostgresHandle out(PQconnectdbParams(keys.data(), values.data(), 1));
  if (PQstatus(out.get()) != CONNECTION_OK) {
    return fail(ErrorKind::kUnavailable, fmt::format("the database cannot be reached ({})",
                                                     postgres_words(PQerrorMessage(out.get()))));
  }
  PQsetNoticeProcessor(out.get(), ignore_notice, nullptr);
  return out;
}

std::string postgres_place(const std::string& url) {
  const Options options = parse(url);
  std::string host;
  std::string port;
  std::string database;
  for (const auto* each = options.get(); each != nullptr && each->keyword != nullptr; ++each) {
    const std::string_view key = each->keyword;
    if (each->val == nullptr) continue;
    if (key == "host") host = each->val;
    if (key == "port") port = each->val;
    if (key == "dbname") database = each->val;
  }
  return fmt::format("{}{}{}/{}", host, port.empty() ? "" : ":", port, database);
}

}  // namespace heddle::services
