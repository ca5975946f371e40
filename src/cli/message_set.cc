#include "cli/message_set.h"

#include <string>
#include <string_view>
#include <utility>

#include "messaging/postgres_storage.h"
#include "messaging/sqlite_storage.h"

namespace heddle::cli {
namespace {

constexpr std::string_view kSqlite = "sqlite:";

bool is_postgres(const config::Config& config) {
  return config.storage.url.starts_with("postgres");
}

Result<std::unique_ptr<messaging::Storage>> open_storage(const config::Config& config,
                                                         metrics::Registry& metrics, Log& log) {
  const std::string& url = config.storage.url;
  const messaging::Quota quota{.messages = config.messaging.mailbox_messages,
                               .bytes = config.messaging.mailbox_bytes};
  if (is_postgres(config)) {
    return messaging::make_postgres_storage({.url = url, .timeout = config.storage.timeout}, quota,
                                            log, metrics);
  }
  const std::string file =
      url.empty() ? config.data_dir + "/messages.db" : url.substr(kSqlite.size());
  return messaging::make_sqlite_storage(file, quota, log, metrics);
}

}  // namespace

Result<std::unique_ptr<MessageSet>> MessageSet::create(const config::Config& config,
                                                       const extension::MessageHooks& hooks,
                                                       net::Worker& worker, net::BlockingPool& pool,
                                                       metrics::Registry& metrics, Log& log) {
  if (!config.messaging.enabled) return nullptr;
  auto storage = open_storage(config, metrics, log);
  if (!storage) return std::unexpected(std::move(storage.error()).within("messaging: "));
  const std::string secret = (*storage)->secret();
  std::unique_ptr<MessageSet> out(new MessageSet({.storage = std::move(*storage),
                                                  .settings = config.messaging,
                                                  .hooks = hooks,
                                                  .log = log,
                                                  .metrics = metrics,
                                                  .shared = is_postgres(config)}));
  if (is_postgres(config) && !config.redis.url.empty()) {
    auto address = services::parse_redis_url(config.redis.url);
    if (!address) return std::unexpected(std::move(address.error()));
    out->fanout_ = std::make_unique<messaging::Fanout>(
        messaging::Fanout::Dependencies{.hub = out->service_.hub(),
                                        .worker = worker,
                                        .pool = pool,
                                        .address = std::move(*address),
                                        .secret = secret,
                                        .log = log,
                                        .metrics = metrics});
    out->fanout_->start();
  }
  out->service_.start(worker);
  return out;
}

void MessageSet::finish() {
  service_.finish();
  if (fanout_) fanout_->finish();
}

}  // namespace heddle::cli
