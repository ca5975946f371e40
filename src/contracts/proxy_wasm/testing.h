// For the tests of this folder only: guests written as host calls with constant arguments, an
// exchange without a gateway, upstreams that answer when told.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "contracts/proxy_wasm/contract.h"
#include "contracts/proxy_wasm/host_call.h"
#include "contracts/proxy_wasm/http_context.h"
#include "contracts/proxy_wasm/plugin.h"
#include "net/worker.h"

namespace heddle::proxy_wasm {

inline std::vector<HostFunction> env_functions() {
  std::vector<HostFunction> out;
  for (const auto table :
       {header_functions(), buffer_functions(), property_functions(), stream_functions(),
        call_functions(), grpc_functions(), shared_functions(), metric_functions(),
        foreign_functions(), runtime_functions()}) {
    out.insert(out.end(), table.begin(), table.end());
  }
  return out;
}

// A module whose functions r0, r1, ... each make one host call and return its status.
class Guest {
 public:
  static constexpr std::uint32_t kOut = 64;      // out parameters: 64, 72, 80
  static constexpr std::uint32_t kTexts = 256;   // texts
  static constexpr std::uint32_t kHeap = 32768;  // what the allocator hands out
  static constexpr std::uint32_t kPages = 2;

  std::uint32_t text(std::string_view bytes) {
    const std::uint32_t at = next_text_;
    data_ += "(data (i32.const " + std::to_string(at) + ") \"";
    for (const char c : bytes) {
      std::array<char, 4> hex{};
      std::snprintf(hex.data(), hex.size(), "\\%02x", static_cast<unsigned char>(c));
      data_ += hex.data();
    }
    data_ += "\")";
    next_text_ += static_cast<std::uint32_t>(bytes.size());
    return at;
  }

  // Returns the index of the function that makes this call.
  std::size_t call(std::string_view name, const std::vector<std::int64_t>& arguments) {
    functions_ += "(func (export \"r" + std::to_string(count_) + "\") (result i32) " +
                  invoke(name, arguments) + ")";
    return count_++;
  }
  // The call as WAT, for the body of a callback.
  std::string invoke(std::string_view name, const std::vector<std::int64_t>& arguments) {
    import(name);
    std::string out = "(call $" + std::string(name);
    const HostFunction function = row(name);
    EXPECT_EQ(function.parameter_count, arguments.size()) << name;
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      const bool wide = function.parameters.at(i) == sandbox::ValueType::kI64;
      out += std::string(wide ? "(i64.const " : "(i32.const ") +
             std::to_string(wide ? arguments[i] : static_cast<std::int32_t>(arguments[i])) + ")";
    }
    return out + ")";
  }
  std::string log(std::string_view line) {
    const std::uint32_t at = text(line);
    return "(drop " + invoke("proxy_log", {2, at, static_cast<std::int64_t>(line.size())}) + ")";
  }

  // A callback, or any other WAT.
  void add(std::string_view wat) { functions_ += wat; }
  void marker(std::string_view name) { marker_ = name; }
  void allocator(std::string_view body) { allocator_ = body; }

  std::string wat() const {
    return "(module " + imports_ + "(memory (export \"memory\") " + std::to_string(kPages) + ")" +
           "(global $next (mut i32) (i32.const " + std::to_string(kHeap) +
           ")) (global $x (mut i32) (i32.const 0))" + data_ + "(func (export \"" + marker_ +
           "\"))" + "(func (export \"proxy_on_memory_allocate\") (param $n i32) (result i32) " +
           allocator_ + ")" + functions_ + ")";
  }

 private:
  static HostFunction row(std::string_view name) {
    for (const HostFunction& function : env_functions()) {
      if (function.name == name) return function;
    }
    ADD_FAILURE() << "no host call " << name;
    return {};
  }
  void import(std::string_view name) {
    if (!imported_.insert(std::string(name)).second) return;
    const HostFunction function = row(name);
    imports_ += fmt::format(R"((import "env" "{0}" (func ${0})", name);
    for (std::size_t i = 0; i < function.parameter_count; ++i) {
      imports_ +=
          function.parameters.at(i) == sandbox::ValueType::kI64 ? " (param i64)" : " (param i32)";
    }
    imports_ += function.has_result ? " (result i32)))" : "))";
  }

  std::string imports_;
  std::string data_;
  std::string functions_;
  std::string marker_ = "proxy_abi_version_0_2_1";
  std::string allocator_ =
      "(local $at i32) (local.set $at (global.get $next)) "
      "(global.set $next (i32.add (global.get $next) (local.get $n))) (local.get $at)";
  std::set<std::string> imported_;
  std::uint32_t next_text_ = kTexts;
  std::size_t count_ = 0;
};

// One exchange as a plugin's filter sees it.
class FakeHost final : public extension::FilterHost {
 public:
  explicit FakeHost(net::Worker& worker) : worker_(worker) {
    connection_.id = 77;
    connection_.remote_address = "10.0.0.1:5000";
    connection_.remote_port = 5000;
    connection_.local_address = "10.0.0.2:80";
    connection_.local_port = 80;
    info_.connection = &connection_;
    info_.request_id = "the-request";
    info_.start_wall = 1'700'000'000'000'000'000;
    request.add(":authority", "example.org");
    request.add(":path", "/a/b?q=1");
    request.add(":method", "GET");
    request.add(":scheme", "http");
    request.add("user-agent", "test");
    request.add("x-twice", "one");
    request.add("x-twice", "two");
  }

  net::Worker& worker() override { return worker_; }
  const extension::ExchangeInfo& info() const override { return info_; }
  http::HeaderMap* request_headers() override { return &request; }
  http::HeaderMap* request_trailers() override {
    return has_request_trailers ? &request_trailer : nullptr;
  }
  http::HeaderMap* response_headers() override { return has_response ? &response : nullptr; }
  http::HeaderMap* response_trailers() override {
    return has_response_trailers ? &response_trailer : nullptr;
  }
  bool request_headers_writable() const override { return in_request; }
  bool request_trailers_writable() const override { return false; }
  bool response_headers_writable() const override { return in_response; }
  bool response_trailers_writable() const override { return has_response_trailers; }
  http::HeaderMap* create_request_trailers() override { return nullptr; }
  http::HeaderMap* create_response_trailers() override {
    if (!last_body) return nullptr;
    has_response_trailers = true;
    return &response_trailer;
  }
  http::Buffer* request_body() override { return has_body ? &body : nullptr; }
  http::Buffer* response_body() override { return nullptr; }
  void continue_request() override { ++continued_request; }
  void continue_response() override { ++continued_response; }
  void send_local_reply(extension::LocalReply given) override {
    if (!reply) reply = std::move(given);
  }
  void reset_stream() override { ++resets; }
  void clear_route() override { ++cleared_routes; }
  extension::Properties& properties() override { return properties_; }

  extension::ExchangeInfo& mutable_info() { return info_; }

  bool in_request = true;
  bool in_response = false;
  bool has_response = false;
  bool has_request_trailers = false;
  bool has_response_trailers = false;
  bool last_body = false;
  bool has_body = false;
  http::Buffer body;
  int continued_request = 0;
  int continued_response = 0;
  int resets = 0;
  int cleared_routes = 0;
  std::optional<extension::LocalReply> reply;

 private:
  net::Worker& worker_;
  http::ConnectionInfo connection_;
  extension::ExchangeInfo info_;
  Arena arena_;
  extension::Properties properties_;

 public:
  http::HeaderMap request{arena_};
  http::HeaderMap request_trailer{arena_};
  http::HeaderMap response{arena_};
  http::HeaderMap response_trailer{arena_};
};

// A stream to an upstream: keeps what is sent, gives the events that the test makes.
class FakeStream final : public http::Sender {
 public:
  explicit FakeStream(http::Receiver& to) : receiver(&to) {}

  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_head(const http::HeaderMap& headers, bool /*end*/) override {
    for (const auto& [name, value] : headers) head.emplace(name, value);
  }
  void send_data(http::Buffer&& data, bool end) override {
    body += data.to_string();
    ended |= end;
  }
  void send_trailers(const http::HeaderMap& /*trailers*/) override { ended = true; }
  void reset(http::StreamError /*error*/) override { receiver = nullptr; }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return full; }
  std::uint64_t bytes_sent() const override { return 0; }
  std::uint64_t bytes_received() const override { return 0; }

  http::Receiver* receiver;  // null: the caller has given up
  std::map<std::string, std::string> head;
  std::string body;
  bool ended = false;
  bool full = false;
};

// Upstream "auth" exists; calls wait until the test answers them.
class FakeUpstreams final : public extension::UpstreamDirectory {
 public:
  struct Call {
    std::string upstream;
    bool permit_address = false;
    extension::CallRequest request;
    std::move_only_function<void(Result<extension::CallResponse>)> done;
    bool cancelled = false;
  };

  bool exists(net::Worker& /*worker*/, std::string_view upstream) const override {
    return upstream == "auth";
  }
  Result<std::unique_ptr<extension::PendingCall>> call(
      net::Worker& worker, std::string_view upstream, bool permit_address,
      extension::CallRequest request,
      std::move_only_function<void(Result<extension::CallResponse>)> done) override {
    if (!exists(worker, upstream) && !permit_address)
      return fail(ErrorKind::kNotFound, "no such upstream");
    calls.push_back(std::make_shared<Call>(std::string(upstream), permit_address,
                                           std::move(request), std::move(done)));
    return std::make_unique<Pending>(calls.back());
  }

  Result<std::unique_ptr<extension::OpenStream>> open_stream(net::Worker& worker,
                                                             std::string_view upstream,
                                                             bool permit_address,
                                                             http::Receiver& receiver) override {
    if (!exists(worker, upstream) && !permit_address)
      return fail(ErrorKind::kNotFound, "no such upstream");
    streams.push_back(std::make_shared<FakeStream>(receiver));
    return std::make_unique<Open>(streams.back());
  }

  std::vector<std::shared_ptr<Call>> calls;
  std::vector<std::shared_ptr<FakeStream>> streams;

 private:
  class Open final : public extension::OpenStream {
   public:
    explicit Open(std::shared_ptr<FakeStream> stream) : stream_(std::move(stream)) {}
    http::Sender& sender() override { return *stream_; }

   private:
    std::shared_ptr<FakeStream> stream_;
  };
  class Pending final : public extension::PendingCall {
   public:
    explicit Pending(std::shared_ptr<Call> call) : call_(std::move(call)) {}
    ~Pending() override { call_->cancelled = true; }

   private:
    std::shared_ptr<Call> call_;
  };
};

class TestContext final : public Context {
 public:
  explicit TestContext(extension::FilterHost* host) { http = host; }
  void on_vm_failed() override { ++failures; }
  int failures = 0;
};

class ProxyWasmTest : public testing::Test {
 protected:
  void SetUp() override {
    log_path_ = std::filesystem::temp_directory_path() /
                ("heddle-pw-" + std::to_string(getpid()) + "-" +
                 testing::UnitTest::GetInstance()->current_test_info()->name() + ".log");
    std::filesystem::remove(log_path_);
    auto log = Log::create(LogLevel::kTrace, LogFormat::kJson, log_path_);
    ASSERT_TRUE(log.has_value());
    log_ = std::move(*log);
    auto engine = sandbox::Engine::create({.instances = 16}, *log_, metrics_);
    ASSERT_TRUE(engine.has_value()) << engine.error().message;
    engine_ = std::move(*engine);
    worker_ = std::make_unique<net::Worker>(0, *log_);
    host_ = std::make_unique<FakeHost>(*worker_);
    services_ =
        std::make_unique<Dependencies>(Dependencies{.engine = *engine_,
                                                    .log = *log_,
                                                    .metrics = metrics_,
                                                    .shared_data = shared_data_,
                                                    .shared_queues = shared_queues_,
                                                    .plugin_metrics = plugin_metrics_,
                                                    .upstreams = &upstreams_,
                                                    .foreign_functions = &foreign_functions_});
    contract_ = std::make_unique<Contract>(*services_);
    spec_.name = "tested";
    spec_.memory_limit = std::size_t{16} << 20U;
    spec_.timeout = std::chrono::milliseconds(200);
    spec_.buffer_limit = std::size_t{1} << 20U;
    spec_.log_lines_per_second = 100000;
    spec_.log_line_bytes = 4096;
    spec_.host_calls = 10000;
    spec_.outbound_calls = 2;
    spec_.foreign_functions = {"clear_route_cache",      "compress", "declare_property",
                               "set_envoy_filter_state", "sign",     "uncompress",
                               "verify_signature"};
  }
  void TearDown() override {
    root_.reset();
    vm_.reset();
    contract_.reset();
    worker_.reset();
    std::filesystem::remove(log_path_);
  }

  Result<std::shared_ptr<extension::LoadedPlugin>> load(std::string_view wat) {
    auto module = engine_->compile(std::as_bytes(std::span(wat)), "tested");
    if (!module) return std::unexpected(module.error());
    return contract_->load(spec_, *module);
  }

  // A plugin and its VM on the (unstarted) worker, so that the test's thread is the worker's.
  void start(const Guest& guest) {
    auto loaded = load(guest.wat());
    ASSERT_TRUE(loaded.has_value()) << loaded.error().message << "\n" << guest.wat();
    plugin_ = std::static_pointer_cast<Plugin>(*loaded);
  }

  std::unique_ptr<extension::HttpFilter> filter() { return plugin_->create(*host_); }

  // A VM alone, for tests of single host calls.
  void start_vm(const Guest& guest, AbiVersion abi = AbiVersion::k0_2_1) {
    const std::string wat = guest.wat();
    auto module = engine_->compile(std::as_bytes(std::span(wat)), "tested");
    ASSERT_TRUE(module.has_value()) << module.error().message << "\n" << wat;
    auto traits = check_module(**module);
    ASSERT_TRUE(traits.has_value()) << traits.error().message;
    EXPECT_EQ(traits->abi, abi);
    version_ = std::make_shared<Version>(*services_, spec_, *traits, std::make_shared<Farewells>());
    const std::vector<HostFunction> rows = env_functions();
    const std::array tables = {std::span<const HostFunction>(rows), sandbox::wasi_functions()};
    auto linked = sandbox::LinkedModule::create(*engine_, *module, tables);
    ASSERT_TRUE(linked.has_value()) << linked.error().message;
    version_->linked = *linked;
    auto root = Root::create(version_, worker_.get(), nullptr);
    ASSERT_TRUE(root.has_value()) << root.error().message;
    root_ = *root;
    vm_ = root_->shared_vm();
  }
  bool open_context(Context& context) { return vm_->open(context, *root_); }

  // Calls r<index> on `context`; -1 when it trapped.
  int run(std::size_t index, Context& context) {
    auto function = vm_->instance().function<std::uint32_t()>("r" + std::to_string(index));
    EXPECT_TRUE(function.has_value() && *function);
    if (context.root == nullptr) context.root = root_.get();
    const auto result = vm_->call(Callback::kTick, context, *function);
    return result ? static_cast<int>(*result) : -1;
  }

  std::uint32_t out(std::uint32_t at = Guest::kOut) {
    return *vm_->instance().memory().load<std::uint32_t>(at);
  }
  // The bytes whose address and size the guest got.
  std::string got() {
    return std::string(*vm_->instance().memory().view(out(), out(Guest::kOut + 8)));
  }

  // Everything logged so far. Another thread writes the file, so a mark is written and waited for.
  std::string logged() {
    const std::string mark = "mark " + std::to_string(++marks_) + "\n";
    log_->write_raw(mark.substr(0, mark.size() - 1));
    log_->flush();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    for (;;) {
      std::ifstream file(log_path_);
      std::stringstream text;
      text << file.rdbuf();
      if (text.str().contains(mark) || std::chrono::steady_clock::now() > deadline)
        return text.str();
      std::this_thread::yield();
    }
  }
  // The "message" of every line, in order.
  std::vector<std::string> messages() {
    std::vector<std::string> out;
    std::istringstream lines(logged());
    for (std::string line; std::getline(lines, line);) {
      constexpr std::string_view kKey = R"("message":")";
      const std::size_t key = line.find(kKey);
      if (key == std::string::npos) continue;
      const std::size_t start = key + kKey.size();
      out.push_back(line.substr(start, line.find('"', start) - start));
    }
    return out;
  }
  std::uint64_t counter(std::string_view name, const metrics::Labels& labels) {
    return metrics_.counter(name, "", labels)->value();
  }

  std::filesystem::path log_path_;
  int marks_ = 0;
  std::unique_ptr<Log> log_;
  metrics::Registry metrics_;
  std::unique_ptr<sandbox::Engine> engine_;
  services::SharedData shared_data_;
  services::SharedQueues shared_queues_;
  services::PluginMetrics plugin_metrics_{metrics_};
  FakeUpstreams upstreams_;
  extension::ForeignFunctions foreign_functions_;
  std::unique_ptr<net::Worker> worker_;
  std::unique_ptr<FakeHost> host_;
  std::unique_ptr<Dependencies> services_;
  std::unique_ptr<Contract> contract_;
  extension::PluginSpec spec_;
  std::shared_ptr<Plugin> plugin_;
  std::shared_ptr<Version> version_;
  std::shared_ptr<Vm> vm_;
  std::shared_ptr<Root> root_;
};

}  // namespace heddle::proxy_wasm
