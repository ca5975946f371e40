#include "cli/message_set.h"

#include <string>
#include <string_view>
#include <utility>

#include "messaging/sqlite_storage.h"

namespace heddle::cli {
namespace {

constexpr std::string_view kSqlite = "sqlite:";

std::string file_of(const config::Config& config) {
  const std::string& url = config.storage.url;
  if (url.empty()) return config.data_dir + "/messages.db";
  return url.substr(kSqlite.size());
}

}  // namespace

Result<std::unique_ptr<MessageSet>> MessageSet::create(const config::Config& config,
                                                       const extension::MessageHooks& hooks,
                                                       net::Worker& worker,
                                                       metrics::Registry& metrics, Log& log) {
  if (!config.messaging.enabled) return nullptr;
  const messaging::Quota quota{.messages = config.messaging.mailbox_messages,
                               .bytes = config.messaging.mailbox_bytes};
  auto storage = messaging::make_sqlite_storage(file_of(config), quota, log, metrics);
  if (!storage) return std::unexpected(std::move(storage.error()).within("messaging: "));
  std::unique_ptr<MessageSet> out(new MessageSet({.storage = std::move(*storage),
                                                  .settings = config.messaging,
                                                  .hooks = hooks,
                                                  .log = log,
                                                  .metrics = metrics}));
  out->service_.start(worker);
  return out;
}

}  // namespace heddle::cli
