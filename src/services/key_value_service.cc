#include "services/key_value_service.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace heddle::services {
namespace {

template <typename T>
Pending refuse(net::Worker& worker, typename Completion<T>::Callback done, Error error) {
  auto completion = Completion<T>::create(worker, std::move(done));
  completion->finish(std::unexpected(std::move(error)));
  return completion->handle();
}

}  // namespace

template <typename T>
Completion<T>::Callback KeyValueService::counted(const std::string& plugin,
                                                 Completion<T>::Callback done) {
  return [this, done = std::move(done), plugin, entry = metrics_.of(plugin, "state"),
          started = monotonic_now()](Result<T> result) mutable {
    entry.record(started, !result);
    if (!result && result.error().kind == ErrorKind::kLimit) metrics_.limit_hit(plugin, "state");
    if (!result) {
      result = std::unexpected(
          std::move(result.error()).within(fmt::format("plugin {}: state: ", plugin)));
    }
    done(std::move(result));
  };
}

Result<void> KeyValueService::check_key(std::string_view key) const {
  if (key.empty()) return fail(ErrorKind::kInvalidArgument, "the key is empty");
  if (key.size() <= limits_.max_key_bytes) return {};
  return fail(ErrorKind::kLimit, fmt::format("the key is longer than {} bytes (state.max_key)",
                                             limits_.max_key_bytes));
}

Pending KeyValueService::get(net::Worker& worker, std::string plugin, std::string key,
                             Completion<Value>::Callback done) {
  auto callback = counted<Value>(plugin, std::move(done));
  if (auto good = check_key(key); !good) {
    return refuse<Value>(worker, std::move(callback), std::move(good.error()));
  }
  return store_->get(worker, std::move(plugin), std::move(key), std::move(callback));
}

Pending KeyValueService::set(net::Worker& worker, std::string plugin, std::string key,
                             std::string value, Completion<Done>::Callback done) {
  auto callback = counted<Done>(plugin, std::move(done));
  auto good = check_key(key);
  if (good && value.size() > limits_.max_value_bytes) {
    good =
        fail(ErrorKind::kLimit, fmt::format("the value is larger than {} bytes (state.max_value)",
                                            limits_.max_value_bytes));
  }
  if (!good) return refuse<Done>(worker, std::move(callback), std::move(good.error()));
  return store_->set(worker, std::move(plugin), std::move(key), std::move(value),
                     std::move(callback));
}

Pending KeyValueService::remove(net::Worker& worker, std::string plugin, std::string key,
                                Completion<bool>::Callback done) {
  auto callback = counted<bool>(plugin, std::move(done));
  if (auto good = check_key(key); !good) {
    return refuse<bool>(worker, std::move(callback), std::move(good.error()));
  }
  return store_->remove(worker, std::move(plugin), std::move(key), std::move(callback));
}

Pending KeyValueService::list(net::Worker& worker, std::string plugin, std::string prefix,
                              std::string after, std::size_t count,
                              Completion<Keys>::Callback done) {
  auto callback = counted<Keys>(plugin, std::move(done));
  return store_->list(worker, std::move(plugin), std::move(prefix), std::move(after),
                      std::min(count, limits_.max_listed), std::move(callback));
}

Pending KeyValueService::clear(net::Worker& worker, std::string plugin,
                               Completion<Done>::Callback done) {
  auto callback = counted<Done>(plugin, std::move(done));
  return store_->clear(worker, std::move(plugin), std::move(callback));
}

}  // namespace heddle::services
