#include "services/key_value_redis.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <functional>
#include <utility>

#include "net/blocking_pool.h"
#include "services/sql_sqlite.h"

namespace heddle::services {
namespace {

// KEYS: values, keys, bytes. ARGV: key, value, limit. 0: over the limit.
constexpr const char* kSet = R"(
local former = 0
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  former = #ARGV[1] + redis.call('HSTRLEN', KEYS[1], ARGV[1])
end
local growth = #ARGV[1] + #ARGV[2] - former
local used = tonumber(redis.call('GET', KEYS[3]) or '0')
if growth > 0 and used + growth > tonumber(ARGV[3]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
redis.call('INCRBY', KEYS[3], growth)
return 1)";

constexpr const char* kRemove = R"(
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('DECRBY', KEYS[3], #ARGV[1] + redis.call('HSTRLEN', KEYS[1], ARGV[1]))
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
return 1)";

std::string text_of(const redisReply& reply) {
  return {reply.str, static_cast<std::size_t>(reply.len)};
}

// Begins with `prefix`, comes after `after`: the ends of ZRANGEBYLEX.
std::string lowest(const std::string& prefix, const std::string& after) {
  return after.empty() || after < prefix ? "[" + prefix : "(" + after;
}
std::string highest(std::string prefix) {
  while (prefix.ends_with('\xff')) prefix.pop_back();
  if (prefix.empty()) return "+";
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return "(" + prefix;
}

class RedisKeyValue final : public KeyValue {
 public:
  RedisKeyValue(RedisAddress address, const KeyValueLimits& limits, net::BlockingPool& pool)
      : address_(std::move(address)), limits_(limits), pool_(pool) {}

  Pending get(net::Worker& worker, std::string plugin, std::string key,
              Completion<Value>::Callback done) override {
    return ask<Value>(worker, {"HGET", name(plugin, "values"), key}, std::move(done),
                      [](const redisReply& reply) -> Result<Value> {
                        if (reply.type == REDIS_REPLY_NIL) return std::nullopt;
                        return text_of(reply);
                      });
  }
  Pending set(net::Worker& worker, std::string plugin, std::string key, std::string value,
              Completion<Done>::Callback done) override {
    return ask<Done>(
        worker,
        script(kSet, plugin,
               {std::move(key), std::move(value), std::to_string(limits_.max_plugin_bytes)}),
        std::move(done), [limit = limits_.max_plugin_bytes](const redisReply& reply) {
          if (reply.integer == 1) return Result<Done>(Done{});
          return Result<Done>(
              fail(ErrorKind::kLimit, fmt::format("the plugin's state would be larger than "
                                                  "{} bytes (state.max_size)",
                                                  limit)));
        });
  }
  Pending remove(net::Worker& worker, std::string plugin, std::string key,
                 Completion<bool>::Callback done) override {
    return ask<bool>(worker, script(kRemove, plugin, {std::move(key)}), std::move(done),
                     [](const redisReply& reply) { return Result<bool>(reply.integer == 1); });
  }
  Pending list(net::Worker& worker, std::string plugin, std::string prefix, std::string after,
               std::size_t count, Completion<Keys>::Callback done) override {
    return ask<Keys>(worker,
                     {"ZRANGEBYLEX", name(plugin, "keys"), lowest(prefix, after), highest(prefix),
                      "LIMIT", "0", std::to_string(count)},
                     std::move(done), [](const redisReply& reply) {
                       Keys out;
                       for (std::size_t i = 0; i < reply.elements; ++i) {
                         out.push_back(text_of(*reply.element[i]));
                       }
                       return Result<Keys>(std::move(out));
                     });
  }
  Pending clear(net::Worker& worker, std::string plugin, Completion<Done>::Callback done) override {
    return ask<Done>(worker,
                     {"DEL", name(plugin, "values"), name(plugin, "keys"), name(plugin, "bytes")},
                     std::move(done), [](const redisReply&) { return Result<Done>(Done{}); });
  }

 private:
  // The braces keep a plugin's three on one node of a cluster.
  static std::string name(std::string_view plugin, std::string_view what) {
    return fmt::format("heddle:state:{{{}}}:{}", plugin_file_name(plugin), what);
  }
  static std::vector<std::string> script(const char* text, std::string_view plugin,
                                         std::vector<std::string> arguments) {
    std::vector<std::string> out = {
        "EVAL", text, "3", name(plugin, "values"), name(plugin, "keys"), name(plugin, "bytes")};
    for (std::string& each : arguments) out.push_back(std::move(each));
    return out;
  }

  template <typename T>
  Pending ask(net::Worker& worker, const std::vector<std::string>& words,
              typename Completion<T>::Callback done,
              std::move_only_function<Result<T>(const redisReply&)> read) {
    auto completion = Completion<T>::create(worker, std::move(done));
    connection(worker).command(words, [completion,
                                       read = std::move(read)](const redisReply* reply) mutable {
      if (reply == nullptr) {
        completion->finish(fail(ErrorKind::kUnavailable, "Redis cannot be reached (redis.url)"));
      } else if (reply->type == REDIS_REPLY_ERROR) {
        completion->finish(
            fail(ErrorKind::kUnavailable, fmt::format("Redis refuses: {}", text_of(*reply))));
      } else {
        completion->finish(read(*reply));
      }
    });
    return completion->handle();
  }

  RedisConnection& connection(net::Worker& worker) const {
    if (auto* found = worker.find_local(key_)) return static_cast<RedisConnection&>(*found);
    auto made = std::make_unique<RedisConnection>(worker, pool_, address_);
    RedisConnection& out = *made;
    worker.keep_local(key_, std::move(made));
    return out;
  }

  const RedisAddress address_;
  const KeyValueLimits limits_;
  net::BlockingPool& pool_;
  const net::Worker::LocalKey key_ = net::Worker::new_local_key();
};

}  // namespace

std::unique_ptr<KeyValue> make_redis_key_value(RedisAddress address, const KeyValueLimits& limits,
                                               net::BlockingPool& pool) {
  return std::make_unique<RedisKeyValue>(std::move(address), limits, pool);
}

}  // namespace heddle::services
