#include "contracts/json_rpc/server_methods.h"

#include <algorithm>
#include <boost/json/value.hpp>
#include <memory>
#include <optional>
#include <utility>

#include "base/clock.h"
#include "base/json_write.h"
#include "contracts/json_rpc/call_errors.h"
#include "contracts/json_rpc/http_fetch.h"
#include "contracts/json_rpc/method_params.h"
#include "contracts/json_rpc/rpc_between.h"
#include "services/crypto.h"
#include "services/key_value.h"
#include "services/sql.h"
#include "services/sql_json.h"

namespace heddle::json_rpc {
namespace {

namespace json = boost::json;
using Reply = HostMethods::Reply;
using services::Pending;

RpcOutcome bad_params(const Params& params) {
  return failure(
      rpc_error(RpcError::kInvalidParams, "Invalid params", "invalid_params", params.problem()));
}

RpcOutcome denied(std::string_view permission) {
  return failure(
      rpc_error(RpcError::kResourceUnavailable, "not permitted", "permission", permission));
}

// The callback of a service, whose errors are the guest's.
template <typename T, typename Convert>
auto answering(Reply reply, Convert convert) {
  return [reply = std::move(reply), convert](Result<T> result) mutable {
    reply(result ? success(convert(*result)) : failure(service_error(result.error())));
  };
}

Pending log(const HostRequest& request, Reply reply) {
  std::string level = "info";
  std::string message;
  if (request.params.is_string()) {
    message = std::string(request.params.get_string());
  } else {
    Params params(request.params);
    level = params.text("level", "info");
    message = params.text("message");
    if (!params.ok()) return reply(bad_params(params)), nullptr;
  }
  const auto known = parse_log_level(level);
  request.record.guest_line(known.value_or(LogLevel::kInfo), message, request.call.request_id);
  reply(success("null"));
  return nullptr;
}

Pending time_now(const HostRequest& /*request*/, Reply reply) {
  const Nanoseconds now = wall_now();
  std::string out = R"({"unix_ms":)" + std::to_string(now / 1'000'000) + R"(,"rfc3339":")";
  append_timestamp(out, now);
  reply(success(out + "\"}"));
  return nullptr;
}

Pending random_bytes(const HostRequest& request, Reply reply) {
  Params params(request.params);
  const auto count = params.number("count", 32, 0, services::kMaxRandomBytes);
  if (!params.ok()) return reply(bad_params(params)), nullptr;
  const auto bytes = services::crypto_random(static_cast<std::size_t>(count));
  reply(bytes ? success("\"" + services::base64_of(*bytes) + "\"")
              : failure(service_error(bytes.error())));
  return nullptr;
}

// Values are kept as JSON.
Pending kv_get(services::KeyValue& state, const HostRequest& request, Reply reply) {
  Params params(request.params);
  std::string key = params.text("key");
  if (!params.ok()) return reply(bad_params(params)), nullptr;
  return state.get(request.worker, request.spec.name, std::move(key),
                   answering<services::KeyValue::Value>(std::move(reply),
                                                        [](const services::KeyValue::Value& value) {
                                                          return value.value_or("null");
                                                        }));
}

Pending kv_set(services::KeyValue& state, const HostRequest& request, Reply reply) {
  Params params(request.params);
  std::string key = params.text("key");
  if (!params.ok()) return reply(bad_params(params)), nullptr;
  const json::value* value = params.value("value");
  return state.set(
      request.worker, request.spec.name, std::move(key),
      value == nullptr ? "null" : write_json(*value),
      answering<services::KeyValue::Done>(std::move(reply), [](const auto&) { return "null"; }));
}

Pending kv_delete(services::KeyValue& state, const HostRequest& request, Reply reply) {
  Params params(request.params);
  std::string key = params.text("key");
  if (!params.ok()) return reply(bad_params(params)), nullptr;
  return state.remove(
      request.worker, request.spec.name, std::move(key),
      answering<bool>(std::move(reply), [](bool was) { return was ? "true" : "false"; }));
}

Pending kv_list(services::KeyValue& state, const HostRequest& request, Reply reply) {
  const json::value none = json::object();
  Params params(request.params.is_null() ? none : request.params);
  std::string prefix = params.text("prefix", "");
  std::string after = params.text("after", "");
  const auto limit = params.number("limit", 1'000, 1, 100'000);
  if (!params.ok()) return reply(bad_params(params)), nullptr;
  return state.list(request.worker, request.spec.name, std::move(prefix), std::move(after),
                    static_cast<std::size_t>(limit),
                    answering<services::KeyValue::Keys>(
                        std::move(reply), [](const services::KeyValue::Keys& keys) {
                          return write_json(json::array(keys.begin(), keys.end()));
                        }));
}

services::SqlAccess sql_access(const extension::PluginSpec& spec) {
  if (spec.sql_access == "write") return services::SqlAccess::kWrite;
  return spec.sql_access == "read" ? services::SqlAccess::kRead : services::SqlAccess::kNone;
}

Result<services::SqlRequest> sql_request(const HostRequest& request, Params& params) {
  services::SqlRequest out;
  out.plugin = request.spec.name;
  out.access = sql_access(request.spec);
  out.statement = params.text("sql");
  if (!params.ok()) return fail(ErrorKind::kInvalidArgument, params.problem());
  const json::value* given = params.value("params");
  auto values = services::sql_parameters(given == nullptr ? "" : write_json(*given));
  if (!values) return std::unexpected(std::move(values.error()));
  out.parameters = std::move(*values);
  return out;
}

template <typename Convert>
Pending sql(services::Sql& database, const HostRequest& request, Reply reply, Convert convert,
            bool reads) {
  Params params(request.params);
  auto statement = sql_request(request, params);
  if (!statement) return reply(failure(service_error(statement.error()))), nullptr;
  // A query cannot change anything, whatever the statement says.
  if (reads && statement->access == services::SqlAccess::kWrite)
    statement->access = services::SqlAccess::kRead;
  return database.run(request.worker, std::move(*statement),
                      answering<services::SqlResult>(std::move(reply), convert));
}

std::string affected(const services::SqlResult& result) {
  return R"({"affected":)" + std::to_string(result.affected) + "}";
}

using StateMethod = Pending (*)(services::KeyValue&, const HostRequest&, Reply);

HostMethods::Method with_state(services::KeyValue& state, StateMethod method) {
  return [&state, method](const HostRequest& request, Reply reply) -> Pending {
    if (!request.spec.permit_state) return reply(denied("permissions.state")), nullptr;
    return method(state, request, std::move(reply));
  };
}

void add_sql(HostMethods& methods, services::Sql& database) {
  const auto add = [&](std::string name, auto convert, services::SqlAccess least) {
    methods.add(std::move(name),
                [&database, convert, least](const HostRequest& request, Reply reply) -> Pending {
                  if (sql_access(request.spec) < least)
                    return reply(denied("permissions.sql")), nullptr;
                  return sql(database, request, std::move(reply), convert,
                             least == services::SqlAccess::kRead);
                });
  };
  add("sql.query", &services::sql_rows_json, services::SqlAccess::kRead);
  add("sql.execute", &affected, services::SqlAccess::kWrite);
}

}  // namespace

void add_server_methods(HostMethods& methods, const services::Services& services,
                        const extension::RpcTargets* targets) {
  methods.add("log", &log);
  methods.add("time.now", &time_now);
  methods.add("random.bytes", &random_bytes);
  if (services.state != nullptr) {
    methods.add("kv.get", with_state(*services.state, &kv_get));
    methods.add("kv.set", with_state(*services.state, &kv_set));
    methods.add("kv.delete", with_state(*services.state, &kv_delete));
    methods.add("kv.list", with_state(*services.state, &kv_list));
  }
  if (services.sql != nullptr) add_sql(methods, *services.sql);
  if (services.http != nullptr) methods.add("http.fetch", http_fetch(*services.http));
  if (targets != nullptr) methods.add("rpc.call", rpc_between(*targets));
}

}  // namespace heddle::json_rpc
