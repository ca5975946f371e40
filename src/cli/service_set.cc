#include "cli/service_set.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "net/socket.h"
#include "net/tls.h"
#include "services/crypto.h"
#include "services/key_value_redis.h"
#include "services/key_value_service.h"
#include "services/key_value_sqlite.h"
#include "services/sql_postgres.h"
#include "services/sql_service.h"
#include "services/sql_sqlite.h"

namespace heddle::cli {
namespace {

constexpr std::size_t kSecretBytes = 32;

services::SqlLimits sql_limits(const config::Sql& sql) {
  return {.timeout = sql.timeout,
          .max_rows = sql.max_rows,
          .max_bytes = sql.max_bytes,
          .max_value_bytes = sql.max_value,
          .max_statement_bytes = sql.max_statement,
          .max_parameters = sql.max_parameters,
          .max_waiting = sql.max_waiting};
}

Result<std::string> read_secret(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string out{std::istreambuf_iterator<char>(file), {}};
  while (out.ends_with('\n') || out.ends_with('\r')) out.pop_back();
  if (out.size() >= kSecretBytes) return out;
  return fail(ErrorKind::kInvalidArgument,
              fmt::format("sql.secret_file: {} cannot be read, or holds fewer than {} bytes", path,
                          kSecretBytes));
}

// Made once, for this user only; a file that is there already counts, whoever was faster.
Result<std::string> find_or_make_secret(const std::string& folder) {
  const std::string path = folder + "/sql.secret";
  std::error_code failed;
  std::filesystem::create_directories(folder, failed);
  const net::Fd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (file.get() < 0 && errno == EEXIST) return read_secret(path);
  auto secret = services::crypto_random(kSecretBytes);
  if (!secret) return secret;
  const std::string text = services::hex_of(*secret) + "\n";
  if (file.get() < 0 ||
      ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail(ErrorKind::kIo, fmt::format("sql: {} cannot be written ({}); set data_dir or "
                                            "sql.secret_file",
                                            path, std::strerror(errno)));
  }
  return read_secret(path);
}

Result<std::shared_ptr<const net::TlsClientContext>> outbound_tls(
    const config::OutboundHttp& settings) {
  net::TlsClientOptions options;
  options.ca_file = settings.ca_file;
  auto tls = net::TlsClientContext::create(options);
  if (!tls) return std::unexpected(std::move(tls.error()).within("outbound_http.ca_file: "));
  return tls;
}

services::AuthOptions auth_options(const config::Auth& auth) {
  const config::Jwt& jwt = auth.jwt;
  return {
      .realm = auth.realm,
      .jwt = {.algorithms = jwt.algorithms,
              .key_files = jwt.key_files,
              .secret_file = jwt.secret_file,
              .jwks_url = jwt.jwks_url,
              .issuer = jwt.issuer,
              .audiences = jwt.audiences,
              .leeway = std::chrono::duration_cast<std::chrono::seconds>(jwt.leeway),
              .jwks_refresh = std::chrono::duration_cast<std::chrono::seconds>(jwt.jwks_refresh)},
      .basic = {.users = auth.users,
                .failures = auth.login_failures,
                .lockout = std::chrono::duration_cast<std::chrono::seconds>(auth.login_lockout)}};
}

}  // namespace

std::vector<Error> ServiceSet::check(const config::Config& config) {
  std::vector<Error> out;
  const auto note = [&out](auto&& result) {
    if (!result) out.push_back(std::move(result.error()));
  };
  if (!config.redis.url.empty()) note(services::parse_redis_url(config.redis.url));
  const bool postgres = !config.sql.url.empty() || !config.sql.plugin_urls.empty();
  if (postgres && !config.sql.secret_file.empty()) note(read_secret(config.sql.secret_file));
  if (!config.outbound_http.ca_file.empty()) note(outbound_tls(config.outbound_http));
  net::BlockingPool blocking(1);
  note(services::make_user_auth(auth_options(config.auth), nullptr, blocking, *Log::null()));
  return out;
}

ServiceSet::ServiceSet(const config::Config& config, metrics::Registry& metrics)
    : metrics_(metrics),
      events_({.max_payload_bytes = config.events.max_payload,
               .max_queued = config.events.max_queued,
               .max_per_second = config.events.max_per_second},
              metrics),
      sql_threads_(config.sql.threads) {}

Result<std::unique_ptr<ServiceSet>> ServiceSet::create(const config::Config& config,
                                                       net::BlockingPool& blocking,
                                                       metrics::Registry& metrics, Log& log) {
  std::unique_ptr<ServiceSet> out(new ServiceSet(config, metrics));
  Result<void> made = out->make_state(config);
  if (made) made = out->make_sql(config);
  if (made) made = out->make_outbound(config, blocking, metrics);
  if (made) made = out->make_auth(config, blocking, log);
  if (!made) return std::unexpected(std::move(made.error()));
  return out;
}

Result<void> ServiceSet::make_sql(const config::Config& config) {
  const config::Sql& sql = config.sql;
  const services::SqlLimits limits = sql_limits(sql);
  std::unique_ptr<services::Sql> database;
  if (sql.url.empty() && sql.plugin_urls.empty()) {
    database = services::make_sqlite_sql({.directory = config.data_dir + "/sql",
                                          .max_file_bytes = sql.max_size,
                                          .connections = sql.connections,
                                          .limits = limits},
                                         sql_threads_);
  } else {
    auto secret = sql.secret_file.empty() ? find_or_make_secret(config.data_dir)
                                          : read_secret(sql.secret_file);
    if (!secret) return std::unexpected(std::move(secret.error()));
    database = services::make_postgres_sql(
        {.roles = {.url = sql.url, .secret = *secret, .plugin_urls = sql.plugin_urls},
         .connections = sql.connections,
         .limits = limits},
        sql_threads_);
  }
  sql_ = std::make_unique<services::SqlService>(std::move(database), limits, metrics_);
  return {};
}

Result<void> ServiceSet::make_state(const config::Config& config) {
  const services::KeyValueLimits limits{.max_key_bytes = config.state.max_key,
                                        .max_value_bytes = config.state.max_value,
                                        .max_plugin_bytes = config.state.max_size,
                                        .max_listed = config.state.max_listed};
  std::unique_ptr<services::KeyValue> store;
  if (config.redis.url.empty()) {
    store = services::make_sqlite_key_value(config.data_dir + "/state.db", limits, state_thread_);
  } else {
    auto address = services::parse_redis_url(config.redis.url);
    if (!address) return std::unexpected(std::move(address.error()));
    store = services::make_redis_key_value(std::move(*address), limits, state_thread_);
  }
  state_ = std::make_unique<services::KeyValueService>(std::move(store), limits, metrics_);
  return {};
}

Result<void> ServiceSet::make_outbound(const config::Config& config, net::BlockingPool& blocking,
                                       metrics::Registry& metrics) {
  const config::OutboundHttp& settings = config.outbound_http;
  auto tls = outbound_tls(settings);
  if (!tls) return std::unexpected(std::move(tls.error()));
  outbound_ = services::make_outbound_http({.limits = {.timeout = settings.timeout,
                                                       .max_request_bytes = settings.max_request,
                                                       .max_response_bytes = settings.max_response,
                                                       .max_redirects = settings.max_redirects,
                                                       .max_calls = settings.max_calls},
                                            .tls = std::move(*tls),
                                            .user_agent = "heddle/" HEDDLE_VERSION},
                                           blocking, metrics);
  return {};
}

Result<void> ServiceSet::make_auth(const config::Config& config, net::BlockingPool& blocking,
                                   Log& log) {
  services::AuthOptions options = auth_options(config.auth);
  if (!options.offers_jwt() && !options.offers_basic()) return {};
  auto auth = services::make_user_auth(std::move(options), outbound_.get(), blocking, log);
  if (!auth) return std::unexpected(std::move(auth.error()));
  auth_ = std::move(*auth);
  return {};
}

services::Services ServiceSet::view() {
  return {.sql = sql_.get(),
          .state = state_.get(),
          .http = outbound_.get(),
          .auth = auth_.get(),
          .events = &events_};
}

}  // namespace heddle::cli
