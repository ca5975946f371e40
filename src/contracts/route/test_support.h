// A route plugin without a server: handlers on one worker, services in memory, calls by their
// Sender.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "contracts/route/handlers.h"
#include "contracts/route/manifest.h"
#include "services/key_value.h"
#include "services/sql.h"
#include "services/test_support.h"

namespace heddle::route {

// Keeps values in memory; answers as an event of its own, as every service does. `slow`: answers
// only when told to.
class MemoryState final : public services::KeyValue {
 public:
  services::Pending get(net::Worker& worker, std::string /*plugin*/, std::string key,
                        services::Completion<Value>::Callback done) override {
    auto call = services::Completion<Value>::create(worker, std::move(done));
    if (slow) {
      held.push_back(call);
    } else {
      const auto found = values.find(key);
      call->finish(found == values.end() ? Value() : Value(found->second));
    }
    return call->handle();
  }
  services::Pending set(net::Worker& worker, std::string /*plugin*/, std::string key,
                        std::string value, services::Completion<Done>::Callback done) override {
    values[key] = std::move(value);
    auto call = services::Completion<Done>::create(worker, std::move(done));
    call->finish(Done{});
    return call->handle();
  }
  services::Pending remove(net::Worker& worker, std::string /*plugin*/, std::string key,
                           services::Completion<bool>::Callback done) override {
    auto call = services::Completion<bool>::create(worker, std::move(done));
    call->finish(values.erase(key) > 0);
    return call->handle();
  }
  services::Pending list(net::Worker& /*worker*/, std::string /*plugin*/, std::string /*prefix*/,
                         std::string /*after*/, std::size_t /*count*/,
                         services::Completion<Keys>::Callback /*done*/) override {
    return nullptr;
  }
  services::Pending clear(net::Worker& /*worker*/, std::string /*plugin*/,
                          services::Completion<Done>::Callback /*done*/) override {
    return nullptr;
  }

  std::map<std::string, std::string> values;
  std::vector<std::shared_ptr<services::Completion<Value>>> held;
  bool slow = false;
};

// Keeps what it was asked; refuses.
class RefusingSql final : public services::Sql {
 public:
  services::Pending run(net::Worker& worker, services::SqlRequest request, Callback done) override {
    asked.push_back(std::move(request));
    auto call = services::Completion<services::SqlResult>::create(worker, std::move(done));
    call->finish(fail(ErrorKind::kUnavailable, "not now"));
    return call->handle();
  }
  std::vector<services::SqlRequest> asked;
};

struct Answer {
  int status = 0;
  std::string body;
  std::map<std::string, std::string, std::less<>> headers;
};

class Client final : public http::Receiver {
 public:
  void on_informational(http::HeadPtr /*head*/) override {}
  void on_head(http::HeadPtr head, bool /*end*/) override {
    answer.status = head->status();
    for (const auto& [name, value] : head->headers) answer.headers.emplace(name, value);
  }
  void on_data(http::Buffer& data, bool /*end*/) override { answer.body += data.to_string(); }
  void on_trailers(http::HeadPtr /*trailers*/) override {}
  void on_reset(http::StreamError /*error*/, std::string_view /*detail*/) override {}
  void on_writable() override {}
  void on_complete() override { done.set_value(answer); }

  Answer answer;
  std::promise<Answer> done;
};

class RouteTest : public testing::Test {
 public:
  ~RouteTest() override {
    if (handlers_ == nullptr) return;
    worker_.on_worker([&] { handlers_->stop(worker_.worker); });
  }

 protected:
  RouteTest() {
    auto made =
        sandbox::Engine::create({.instances = 4, .suspendable_instances = 32}, *log_, metrics_);
    engine_ = std::move(*made);
    spec_.name = "notes";
    spec_.memory_limit = std::size_t{4} << 20U;
    spec_.timeout = std::chrono::milliseconds(5000);
    spec_.body_limit = std::size_t{1} << 20U;
    spec_.log_lines_per_second = 1000;
    spec_.log_line_bytes = 4096;
    spec_.host_calls = 10'000;
  }

  Result<void> load(std::string_view text, std::string_view manifest = kManifest) {
    auto module = engine_->compile(std::as_bytes(std::span(text)), "notes");
    if (!module) return std::unexpected(module.error());
    auto parsed = parse_manifest(manifest);
    if (!parsed) return std::unexpected(parsed.error());
    auto made =
        Handlers::create(Dependencies{.engine = *engine_,
                                      .log = *log_,
                                      .metrics = metrics_,
                                      .services = {.sql = &sql_, .state = &state_}},
                         spec_, *module, std::make_shared<const RouteManifest>(std::move(*parsed)));
    if (!made) return std::unexpected(made.error());
    handlers_ = std::move(*made);
    return {};
  }

  // A call under way.
  struct Exchange {
    Client client;
    extension::ExchangeInfo info;
    http::Sender* sender = nullptr;
  };
  std::unique_ptr<Exchange> begin(std::string_view method = "GET", std::string_view target = "/x",
                                  std::string_view body = {},
                                  std::string_view type = "application/json",
                                  std::size_t route = 0) {
    auto out = std::make_unique<Exchange>();
    out->info.request_id = "r-1";
    worker_.on_worker([&] {
      out->sender = &handlers_->origin(route).start(worker_.worker, out->info, out->client);
      http::HeadPtr head = http::make_head();
      head->headers.add(":method", method);
      head->headers.add(":path", target);
      head->headers.add("content-type", type);
      out->sender->send_head(head->headers, body.empty());
      if (body.empty()) return;
      http::Buffer data;
      data.append(body);
      out->sender->send_data(std::move(data), true);
    });
    return out;
  }
  static Answer end(Exchange& exchange) {
    auto future = exchange.client.done.get_future();
    if (future.wait_for(std::chrono::seconds(30)) != std::future_status::ready) return {};
    return future.get();
  }
  Answer call(std::string_view method = "GET", std::string_view target = "/x",
              std::string_view body = {}, std::string_view type = "application/json") {
    const auto exchange = begin(method, target, body, type);
    return end(*exchange);
  }

  static constexpr std::string_view kManifest =
      R"({"name":"notes","version":"1.0.0","config":{"color":"red","size":3},
          "routes":[{"path":"/x","method":"GET","handler":"run"}]})";

  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  std::unique_ptr<sandbox::Engine> engine_;
  MemoryState state_;
  RefusingSql sql_;
  extension::PluginSpec spec_;
  services::TestWorker worker_;
  std::shared_ptr<Handlers> handlers_;
};

inline constexpr std::string_view kStateful = R"((module
  (import "env" "state_get" (func $get (param i32 i32) (result i32)))
  (import "env" "state_set" (func $set (param i32 i32 i32 i32) (result i32)))
  (import "env" "get_config" (func $config (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 64) "keycolor")
  (data (i32.const 80) "{\"a\":1}")
  (func (export "init") (result i32)
    (i32.eqz (call $set (i32.const 64) (i32.const 3) (i32.const 80) (i32.const 7))))
  (func (export "run") (param i32 i32) (result i32) (call $get (i32.const 64) (i32.const 3)))))";

}  // namespace heddle::route
