#include "services/sql_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>

namespace heddle::services {

Pending SqlService::run(net::Worker& worker, SqlRequest request, Callback done) {
  Callback counted = [this, done = std::move(done), plugin = request.plugin,
                      entry = metrics_.of(request.plugin, "sql"),
                      started = monotonic_now()](Result<SqlResult> result) mutable {
    entry.record(started, !result);
    if (!result && result.error().kind == ErrorKind::kLimit) metrics_.limit_hit(plugin, "sql");
    if (!result) {
      result = std::unexpected(
          std::move(result.error()).within(fmt::format("plugin {}: SQL: ", plugin)));
    }
    done(std::move(result));
  };
  if (auto allowed = check(request); !allowed) {
    auto completion = Completion<SqlResult>::create(worker, std::move(counted));
    completion->finish(std::unexpected(std::move(allowed.error())));
    return completion->handle();
  }
  return database_->run(worker, std::move(request), std::move(counted));
}

Result<void> SqlService::check(const SqlRequest& request) const {
  if (request.access == SqlAccess::kNone) {
    return fail(ErrorKind::kPermission,
                "the plugin may not use SQL; permit it with permissions: {sql: read} or write");
  }
  if (request.statement.size() > limits_.max_statement_bytes) {
    return fail(ErrorKind::kLimit,
                fmt::format("the statement is longer than {} bytes (sql.max_statement)",
                            limits_.max_statement_bytes));
  }
  if (request.parameters.size() > limits_.max_parameters) {
    return fail(ErrorKind::kLimit, fmt::format("more than {} parameters (sql.max_parameters)",
                                               limits_.max_parameters));
  }
  const auto has_nul = [](const SqlValue& value) {
    const auto* text = std::get_if<std::string>(&value);
    return text != nullptr && text->contains('\0');
  };
  if (request.statement.contains('\0') || std::ranges::any_of(request.parameters, has_nul)) {
    return fail(ErrorKind::kInvalidArgument,
                "a NUL character in the statement or in a text; bytes are {\"$bytes\": base64}");
  }
  return {};
}

}  // namespace heddle::services
