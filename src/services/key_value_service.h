// The key-value data that contracts call: checks names and sizes, counts, and names the plugin in
// every error; the store behind it does the rest.
#pragma once

#include <memory>

#include "services/key_value.h"
#include "services/service_metrics.h"

namespace heddle::services {

class KeyValueService final : public KeyValue {
 public:
  // `metrics` outlives the calls.
  KeyValueService(std::unique_ptr<KeyValue> store, const KeyValueLimits& limits,
                  ServiceMetrics& metrics)
      : store_(std::move(store)), limits_(limits), metrics_(metrics) {}

  Pending get(net::Worker& worker, std::string plugin, std::string key,
              Completion<Value>::Callback done) override;
  Pending set(net::Worker& worker, std::string plugin, std::string key, std::string value,
              Completion<Done>::Callback done) override;
  Pending remove(net::Worker& worker, std::string plugin, std::string key,
                 Completion<bool>::Callback done) override;
  Pending list(net::Worker& worker, std::string plugin, std::string prefix, std::string after,
               std::size_t count, Completion<Keys>::Callback done) override;
  Pending clear(net::Worker& worker, std::string plugin, Completion<Done>::Callback done) override;

 private:
  Result<void> check_key(std::string_view key) const;
  template <typename T>
  Completion<T>::Callback counted(const std::string& plugin, Completion<T>::Callback done);

  const std::unique_ptr<KeyValue> store_;
  const KeyValueLimits limits_;
  ServiceMetrics& metrics_;
};

}  // namespace heddle::services
