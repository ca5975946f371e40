#include "contracts/route/host_services.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <string>
#include <utility>

#include "base/json_parse.h"
#include "base/json_write.h"
#include "base/utf8.h"
#include "contracts/route/guest_placement.h"
#include "contracts/route/host_functions.h"
#include "contracts/route/runtime.h"
#include "net/worker.h"
#include "services/crypto.h"
#include "services/key_value.h"
#include "services/outbound_http.h"
#include "services/sql_json.h"

namespace heddle::route {
namespace {

constexpr GuestSize kPrefix = 4;

// One call of a service. `begin` makes it and `finish` takes what it gave, both on the worker's own
// stack, while the guest is suspended. Destroying it cancels.
template <typename T>
class ServiceWait final : public sandbox::Wait {
 public:
  using Done = typename services::Completion<T>::Callback;
  // Begins the call; an error is as good as an answer.
  using Begin = std::move_only_function<Result<services::Pending>(Done)>;
  using Finish = std::move_only_function<void(Result<T>)>;

  ServiceWait(Begin begin, Finish finish) : begin_(std::move(begin)), finish_(std::move(finish)) {}

  void start(Resume resume) override {
    resume_ = std::move(resume);
    auto begun = begin_([this](Result<T> result) { answer(std::move(result)); });
    if (begun) {
      pending_ = std::move(*begun);
    } else {
      answer(std::unexpected(std::move(begun.error())));
    }
  }

 private:
  void answer(Result<T> result) {
    finish_(std::move(result));
    // The guest goes on in there, and this object may be gone when it returns.
    auto resume = std::move(resume_);
    resume();
  }

  Begin begin_;
  Finish finish_;
  Resume resume_;
  services::Pending pending_;
};

void warn(const HostContext& host, std::string_view call, const Error& error) {
  host.runtime->record().guest_line(LogLevel::kWarn, fmt::format("{}: {}", call, error.message),
                                    host.request_id);
}

GuestPtr give(Instance& instance, std::string_view text, GuestSize offset) {
  const auto address = instance.user<HostContext>().placement->put_result(instance, text);
  return address ? *address + offset : 0;
}

struct SqlCall {
  std::string query;
  std::string parameters;
  bool bound = false;  // parameters were given beside the query
};

// The SDK sends a call of its own form in the place of the parameters.
Result<services::SqlRequest> sql_request(const HostContext& host, const SqlCall& call) {
  services::SqlRequest out;
  out.plugin = host.runtime->spec().name;
  out.access = host.runtime->sql_access();
  out.timeout = host.timeout;
  const bool object = call.parameters.find_first_not_of(" \t\r\n") != std::string::npos &&
                      call.parameters[call.parameters.find_first_not_of(" \t\r\n")] == '{';
  if (auto read = services::read_sql_call(object ? call.parameters : call.query, out); !read) {
    return std::unexpected(std::move(read.error()));
  }
  if (call.bound && !object && !call.parameters.empty()) {
    auto parameters = services::sql_parameters(call.parameters);
    if (!parameters) return std::unexpected(std::move(parameters.error()));
    out.parameters = std::move(*parameters);
  }
  return out;
}

// False: the guest ends.
bool run_sql(Instance& instance, const SqlCall& call,
             std::move_only_function<void(Result<services::SqlResult>)> finish) {
  const HostContext& host = instance.user<HostContext>();
  ServiceWait<services::SqlResult> wait(
      [&](auto done) -> Result<services::Pending> {
        services::Sql* const sql = host.runtime->services().sql;
        if (sql == nullptr || host.runtime->sql_access() == services::SqlAccess::kNone) {
          return fail(ErrorKind::kPermission, "SQL is not permitted (permissions.sql)");
        }
        auto request = sql_request(host, call);
        if (!request) return std::unexpected(std::move(request.error()));
        return sql->run(*host.worker, std::move(*request), std::move(done));
      },
      std::move(finish));
  return instance.wait(wait);
}

GuestPtr query(Instance& instance, const SqlCall& call, GuestSize offset) {
  const HostContext& host = instance.user<HostContext>();
  std::string text;
  const bool goes_on = run_sql(instance, call, [&](Result<services::SqlResult> result) {
    if (!result) warn(host, "db_query", result.error());
    text = result ? services::sql_rows_json(*result) : services::sql_error_json(result.error());
  });
  return goes_on ? give(instance, text, offset) : 0;
}

std::int32_t execute(Instance& instance, const SqlCall& call) {
  const HostContext& host = instance.user<HostContext>();
  std::int64_t affected = -1;
  run_sql(instance, call, [&](Result<services::SqlResult> result) {
    if (!result) warn(host, "db_execute", result.error());
    if (result) affected = result->affected;
  });
  return static_cast<std::int32_t>(std::min<std::int64_t>(affected, INT32_MAX));
}

std::optional<SqlCall> sql_call(Instance& instance, GuestPtr query, GuestSize size) {
  const auto text = guest_text(instance, query, size);
  if (!text) return std::nullopt;
  return SqlCall{.query = std::string(*text), .parameters = {}};
}

std::optional<SqlCall> sql_call(Instance& instance, GuestPtr query, GuestSize size,
                                GuestPtr parameters, GuestSize parameters_size) {
  auto out = sql_call(instance, query, size);
  const auto values = guest_text(instance, parameters, parameters_size);
  if (!out || !values) return std::nullopt;
  out->parameters = *values;
  out->bound = true;
  return out;
}

// {"name":"value"}, values of other types as their JSON text, lists as several headers.
Result<std::vector<std::pair<std::string, std::string>>> read_headers(std::string_view text) {
  std::vector<std::pair<std::string, std::string>> out;
  if (text.empty()) return out;
  boost::system::error_code failed;
  const auto value = parse_json(text, failed);
  if (!failed && value.is_null()) return out;
  if (failed || !value.is_object()) {
    return fail(ErrorKind::kInvalidArgument, "headers are not a JSON object");
  }
  const auto add = [&](std::string_view name, const boost::json::value& one) {
    out.emplace_back(std::string(name),
                     one.is_string() ? std::string(one.get_string()) : write_json(one));
  };
  for (const auto& [name, one] : value.get_object()) {
    if (!one.is_array()) {
      add(name, one);
      continue;
    }
    for (const auto& each : one.get_array()) add(name, each);
  }
  return out;
}

std::string response_json(const Result<services::OutboundResponse>& response) {
  boost::json::object out;
  boost::json::object headers;
  out["status"] = response ? response->status : 0;
  if (response) {
    for (const auto& [name, value] : response->headers) {
      auto& joined = headers[name];
      joined = joined.is_string() ? std::string(joined.get_string()) + ", " + value : value;
    }
    const bool text = is_utf8(response->body);
    out["body"] = text ? response->body : services::base64_of(response->body);
    if (!text) out["body_encoding"] = "base64";
    out["error"] = nullptr;
  } else {
    out["body"] = "";
    out["error"] = response.error().message;
  }
  out["headers"] = std::move(headers);
  return write_json(out);
}

struct HttpCall {
  std::string_view method;
  std::string_view url;
  std::string_view headers;
  std::string_view body;
};

// The views are into guest memory, which does not change while the guest is suspended.
GuestPtr request(Instance& instance, const HttpCall& call, GuestSize offset) {
  const HostContext& host = instance.user<HostContext>();
  std::string text;
  ServiceWait<services::OutboundResponse> wait(
      [&](auto done) -> Result<services::Pending> {
        services::OutboundHttp* const http = host.runtime->services().http;
        if (http == nullptr) return fail(ErrorKind::kPermission, "no HTTP requests here");
        auto headers = read_headers(call.headers);
        if (!headers) return std::unexpected(std::move(headers.error()));
        services::OutboundRequest out;
        out.plugin = host.runtime->spec().name;
        out.permissions = host.runtime->http_permissions();
        out.method = call.method;
        out.url = call.url;
        out.headers = std::move(*headers);
        out.body = call.body;
        out.timeout = host.timeout;
        return http->call(*host.worker, std::move(out), std::move(done));
      },
      [&](Result<services::OutboundResponse> response) {
        if (!response) warn(host, "http_request", response.error());
        text = response_json(response);
      });
  return instance.wait(wait) ? give(instance, text, offset) : 0;
}

// Null with a line in the log when the plugin may not use it.
services::KeyValue* state_of(const HostContext& host) {
  if (host.runtime->spec().permit_state && host.runtime->services().state != nullptr) {
    return host.runtime->services().state;
  }
  host.runtime->record().guest_line(LogLevel::kWarn, "state is not permitted (permissions.state)",
                                    host.request_id);
  return nullptr;
}

}  // namespace

std::optional<std::string_view> guest_text(Instance& instance, GuestPtr address, GuestSize size) {
  // A null pointer with nothing behind it is how some languages write an empty text.
  if (size == 0) return std::string_view();
  auto out = instance.memory().view(address, size);
  if (!out) {
    instance.raise(sandbox::TrapReason::kOutOfBounds,
                   fmt::format("gave a host function the address {} and the length {}, beyond its "
                               "memory of {} bytes",
                               address, size, instance.memory_bytes()));
  }
  return out;
}

GuestPtr db_query(Instance& instance, GuestPtr text, GuestSize size) {
  const auto call = sql_call(instance, text, size);
  return call ? query(instance, *call, kPrefix) : 0;
}

std::int32_t db_execute(Instance& instance, GuestPtr text, GuestSize size) {
  const auto call = sql_call(instance, text, size);
  return call ? execute(instance, *call) : -1;
}

GuestPtr db_query_bound(Instance& instance, GuestPtr text, GuestSize size, GuestPtr parameters,
                        GuestSize parameters_size) {
  const auto call = sql_call(instance, text, size, parameters, parameters_size);
  return call ? query(instance, *call, 0) : 0;
}

std::int32_t db_execute_bound(Instance& instance, GuestPtr text, GuestSize size,
                              GuestPtr parameters, GuestSize parameters_size) {
  const auto call = sql_call(instance, text, size, parameters, parameters_size);
  return call ? execute(instance, *call) : -1;
}

GuestPtr http_request(Instance& instance, GuestPtr method, GuestSize method_size, GuestPtr url,
                      GuestSize url_size, GuestPtr body, GuestSize body_size) {
  const auto verb = guest_text(instance, method, method_size);
  const auto target = guest_text(instance, url, url_size);
  const auto content = guest_text(instance, body, body_size);
  if (!verb || !target || !content) return 0;
  return request(instance, {.method = *verb, .url = *target, .headers = {}, .body = *content},
                 kPrefix);
}

GuestPtr http_request_with_headers(Instance& instance, GuestPtr method, GuestSize method_size,
                                   GuestPtr url, GuestSize url_size, GuestPtr headers,
                                   GuestSize headers_size, GuestPtr body, GuestSize body_size) {
  const auto verb = guest_text(instance, method, method_size);
  const auto target = guest_text(instance, url, url_size);
  const auto fields = guest_text(instance, headers, headers_size);
  const auto content = guest_text(instance, body, body_size);
  if (!verb || !target || !fields || !content) return 0;
  return request(instance, {.method = *verb, .url = *target, .headers = *fields, .body = *content},
                 0);
}

GuestPtr state_get(Instance& instance, GuestPtr key, GuestSize key_size) {
  const auto name = guest_text(instance, key, key_size);
  const HostContext& host = instance.user<HostContext>();
  services::KeyValue* const state = name ? state_of(host) : nullptr;
  if (state == nullptr) return 0;
  services::KeyValue::Value value;
  ServiceWait<services::KeyValue::Value> wait(
      [&](auto done) -> Result<services::Pending> {
        return state->get(*host.worker, host.runtime->spec().name, std::string(*name),
                          std::move(done));
      },
      [&](Result<services::KeyValue::Value> result) {
        if (!result) warn(host, "state_get", result.error());
        if (result) value = std::move(*result);
      });
  return instance.wait(wait) && value ? give(instance, *value, 0) : 0;
}

std::int32_t state_set(Instance& instance, GuestPtr key, GuestSize key_size, GuestPtr value,
                       GuestSize value_size) {
  const auto name = guest_text(instance, key, key_size);
  const auto text = guest_text(instance, value, value_size);
  const HostContext& host = instance.user<HostContext>();
  services::KeyValue* const state = name && text ? state_of(host) : nullptr;
  if (state == nullptr) return 0;
  bool kept = false;
  ServiceWait<services::KeyValue::Done> wait(
      [&](auto done) -> Result<services::Pending> {
        return state->set(*host.worker, host.runtime->spec().name, std::string(*name),
                          std::string(*text), std::move(done));
      },
      [&](Result<services::KeyValue::Done> result) {
        if (!result) warn(host, "state_set", result.error());
        kept = result.has_value();
      });
  return instance.wait(wait) && kept ? 1 : 0;
}

std::int32_t state_remove(Instance& instance, GuestPtr key, GuestSize key_size) {
  const auto name = guest_text(instance, key, key_size);
  const HostContext& host = instance.user<HostContext>();
  services::KeyValue* const state = name ? state_of(host) : nullptr;
  if (state == nullptr) return 0;
  bool was_there = false;
  ServiceWait<bool> wait(
      [&](auto done) -> Result<services::Pending> {
        return state->remove(*host.worker, host.runtime->spec().name, std::string(*name),
                             std::move(done));
      },
      [&](Result<bool> result) {
        if (!result) warn(host, "state_remove", result.error());
        was_there = result.value_or(false);
      });
  return instance.wait(wait) && was_there ? 1 : 0;
}

}  // namespace heddle::route
