// Every host call: its statuses, and hostile pointers in every argument.
#include <algorithm>
#include <string>

#include "contracts/proxy_wasm/header_rules.h"
#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/permitted_hosts.h"
#include "contracts/proxy_wasm/testing.h"

namespace heddle::proxy_wasm {
namespace {

using namespace std::string_literals;

constexpr std::int64_t kA = Guest::kOut;
constexpr std::int64_t kB = Guest::kOut + 8;
constexpr std::int64_t kC = Guest::kOut + 16;

std::int64_t size_of(std::string_view text) {
  return static_cast<std::int64_t>(text.size());
}

std::string pairs_of(const std::vector<std::pair<std::string, std::string>>& list) {
  Arena arena;
  http::HeaderMap map(arena);
  for (const auto& [name, value] : list) map.add(name, value);
  std::string out(pairs_size(map), '\0');
  write_pairs(map, out.data());
  return out;
}

class HostCallsTest : public ProxyWasmTest {
 protected:
  // Makes the calls first, then start() and run().
  std::size_t call(std::string_view name, const std::vector<std::int64_t>& arguments) {
    return guest_.call(name, arguments);
  }
  std::vector<std::int64_t> header(std::int64_t map, std::string_view name,
                                   std::string_view value) {
    return {map, guest_.text(name), size_of(name), guest_.text(value), size_of(value)};
  }
  void go() {
    start_vm(guest_);
    context_ = std::make_unique<TestContext>(host_.get());
    ASSERT_TRUE(open_context(*context_));
  }
  int run(std::size_t index) { return ProxyWasmTest::run(index, *context_); }
  void TearDown() override {
    if (context_ != nullptr) vm_->close(*context_);
    version_.reset();
    ProxyWasmTest::TearDown();
  }

  Guest guest_;
  std::unique_ptr<TestContext> context_;
};

TEST_F(HostCallsTest, HeaderValues) {
  const auto get = [&](std::int64_t map, std::string_view name) {
    return call("proxy_get_header_map_value", {map, guest_.text(name), size_of(name), kA, kB});
  };
  const auto path = get(0, ":path");
  const auto any_case = get(0, "User-Agent");
  const auto first = get(0, "x-twice");
  const auto host = get(0, "Host");
  const auto absent = get(0, "x-none");
  const auto no_map = get(2, "x");
  const auto unknown_map = get(8, "x");
  go();
  EXPECT_EQ(run(path), 0);
  EXPECT_EQ(got(), "/a/b?q=1");
  EXPECT_EQ(run(any_case), 0);
  EXPECT_EQ(got(), "test");
  EXPECT_EQ(run(first), 0);
  EXPECT_EQ(got(), "one");
  EXPECT_EQ(run(host), 0);
  EXPECT_EQ(got(), "example.org");
  EXPECT_EQ(run(absent), 1);
  EXPECT_EQ(run(no_map), 1);
  EXPECT_EQ(run(unknown_map), 2);
}

TEST_F(HostCallsTest, Abi010ReadsAnAbsentHeaderAsEmpty) {
  guest_.marker("proxy_abi_version_0_1_0");
  const auto absent = call("proxy_get_header_map_value", {0, guest_.text("x-none"), 6, kA, kB});
  start_vm(guest_, AbiVersion::k0_1_0);
  context_ = std::make_unique<TestContext>(host_.get());
  ASSERT_TRUE(open_context(*context_));
  EXPECT_EQ(run(absent), 0);
  EXPECT_EQ(out(), 0U);
  EXPECT_EQ(out(Guest::kOut + 8), 0U);
}

TEST_F(HostCallsTest, HeaderWrites) {
  const auto add = call("proxy_add_header_map_value", header(0, "X-New", "v"));
  const auto replace = call("proxy_replace_header_map_value", header(0, "x-twice", "three"));
  const auto join = call("proxy_add_header_map_value", header(0, ":method", "POST"));
  const auto host = call("proxy_replace_header_map_value", header(0, "host", "other"));
  const auto remove = call("proxy_remove_header_map_value", {0, guest_.text("user-agent"), 10});
  const auto remove_absent = call("proxy_remove_header_map_value", {0, guest_.text("nothing"), 7});
  const auto remove_path = call("proxy_remove_header_map_value", {0, guest_.text(":path"), 5});
  const auto other_phase = call("proxy_add_header_map_value", header(2, "x", "v"));
  go();
  for (const auto index : {add, replace, join, host, remove, remove_absent, remove_path})
    EXPECT_EQ(run(index), 0);
  EXPECT_EQ(run(other_phase), 2);
  EXPECT_EQ(host_->request.get("x-new"), "v");
  EXPECT_EQ(host_->request.get_joined("x-twice"), "three");
  EXPECT_EQ(host_->request.get(":method"), "GET,POST");
  EXPECT_EQ(host_->request.get(":authority"), "other");
  EXPECT_FALSE(host_->request.contains("user-agent"));
  EXPECT_TRUE(host_->request.contains(":path"));
  for (const auto& [name, value] : host_->request)
    EXPECT_EQ(name.find_first_of("ABCXN"), std::string_view::npos);
}

TEST_F(HostCallsTest, HeadersThatHttpDoesNotAllow) {
  std::vector<std::size_t> calls;
  for (const auto& [name, value] :
       {std::pair("x", "a\r\nb: c"s), std::pair("x", "a\nb"s), std::pair("x", "a\0b"s),
        std::pair("", "v"s), std::pair("a b", "v"s), std::pair("a:b", "v"s),
        std::pair(":path", "/a b"s), std::pair(":bogus", "v"s), std::pair(":status", "200"s)}) {
    calls.push_back(call("proxy_add_header_map_value", header(0, name, value)));
  }
  go();
  const std::size_t before = host_->request.size();
  for (const std::size_t index : calls) EXPECT_EQ(run(index), 2);
  EXPECT_EQ(host_->request.size(), before);
  EXPECT_NE(logged().find("HTTP does not allow"), std::string::npos);
}

TEST_F(HostCallsTest, Pairs) {
  const std::string set = pairs_of({{"x-only", "1"}, {":path", "/new"}, {"Host", "h"}});
  const auto get = call("proxy_get_header_map_pairs", {0, kA, kB});
  const auto none = call("proxy_get_header_map_pairs", {3, kA, kB});
  const auto size = call("proxy_get_header_map_size", {0, kA});
  const auto replace = call("proxy_set_header_map_pairs", {0, guest_.text(set), size_of(set)});
  const auto broken = call("proxy_set_header_map_pairs", {0, guest_.text("junk!"), 5});
  go();
  EXPECT_EQ(run(get), 0);
  const std::string bytes = got();
  EXPECT_EQ(parse_pairs(bytes)->size(), 7U);
  EXPECT_EQ(run(none), 0);
  EXPECT_EQ(got(), std::string(4, '\0'));
  EXPECT_EQ(run(size), 0);
  EXPECT_EQ(out(), host_->request.byte_size());
  EXPECT_EQ(run(broken), 2);
  EXPECT_EQ(host_->request.size(), 7U);
  EXPECT_EQ(run(replace), 0);
  EXPECT_EQ(host_->request.get(":method"), "GET") << "what a message cannot be without stays";
  EXPECT_EQ(host_->request.get(":path"), "/new");
  EXPECT_EQ(host_->request.get(":authority"), "h");
  EXPECT_EQ(host_->request.size(), 5U);
  EXPECT_EQ(std::prev(host_->request.end())->name, "x-only");
}

TEST_F(HostCallsTest, TrailersAreMadeInTheLastBodyCallback) {
  const auto add = call("proxy_add_header_map_value", header(3, "x-sum", "1"));
  go();
  EXPECT_EQ(run(add), 2);
  host_->last_body = true;
  EXPECT_EQ(run(add), 0);
  EXPECT_EQ(host_->response_trailer.get("x-sum"), "1");
}

TEST_F(HostCallsTest, HeaderBytesAreLimited) {
  spec_.host_calls = 1000000;
  const std::string big(1000, 'v');
  const auto add = call("proxy_replace_header_map_value", header(0, "x", big));
  go();
  int refused = 0;
  for (int i = 0; i < 5000; ++i) refused += run(add) == 2 ? 1 : 0;
  EXPECT_GT(refused, 500);
  EXPECT_GT(
      counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", "header_bytes"}}),
      0U);
}

struct SetBuffer {
  std::int64_t start;
  std::int64_t size;
  std::string_view bytes;
  std::string_view result;
};

TEST_F(HostCallsTest, SetBuffer) {
  const std::vector<SetBuffer> cases = {{0, 0, "pre", "prehello"},
                                        {0, 5, "all", "all"},
                                        {0, 0x7fffffff, "all", "all"},
                                        {0, 0xffffffff, "all", "all"},
                                        {0, 2, "HE", "HEllo"},
                                        {0x7fffffff, 0, "!", "hello!"},
                                        {5, 0, "!", "hello!"},
                                        {5, 9, "!", "hello!"},
                                        {2, 0, "--", "he--llo"},
                                        {2, 2, "LL", "heLLo"},
                                        {2, 0xffffffff, "y", "hey"},
                                        {0, 5, "", ""},
                                        {1, 3, "", "ho"},
                                        {0xffffffff, 0xffffffff, "", "hello"}};
  std::vector<std::size_t> calls;
  calls.reserve(std::size(cases));
  for (const SetBuffer& each : cases) {
    calls.push_back(call("proxy_set_buffer_bytes",
                         {0, each.start, each.size, guest_.text(each.bytes), size_of(each.bytes)}));
  }
  const auto response = call("proxy_set_buffer_bytes", {1, 0, 0, 0, 0});
  const auto configuration = call("proxy_set_buffer_bytes", {7, 0, 0, 0, 0});
  const auto unknown = call("proxy_set_buffer_bytes", {9, 0, 0, 0, 0});
  go();
  EXPECT_EQ(run(calls[0]), 2) << "there is no body yet";
  host_->has_body = true;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    host_->body.clear();
    host_->body.append("hello");
    EXPECT_EQ(run(calls[i]), 0);
    EXPECT_EQ(host_->body.to_string(), cases[i].result) << i;
  }
  for (const auto index : {response, configuration, unknown}) EXPECT_EQ(run(index), 2);
}

TEST_F(HostCallsTest, GetBuffer) {
  spec_.vm_configuration = "vm";
  spec_.configuration = "plugin";
  const auto get = [&](std::int64_t type, std::int64_t start, std::int64_t max) {
    return call("proxy_get_buffer_bytes", {type, start, max, kA, kB});
  };
  const auto all = get(0, 0, 0xffffffff);
  const auto middle = get(0, 1, 3);
  const auto tail = get(0, 3, 0xffffffff);
  const auto beyond = get(0, 6, 1);
  const auto vm = get(6, 0, 100);
  const auto plugin = get(7, 0, 100);
  const auto unknown = get(9, 0, 1);
  const auto status = call("proxy_get_buffer_status", {0, kA, kB});
  go();
  EXPECT_EQ(run(all), 0) << "empty in another phase";
  EXPECT_EQ(out(), 0U);
  EXPECT_EQ(run(status), 0);
  host_->has_body = true;
  EXPECT_EQ(run(all), 0) << "an empty body is there";
  EXPECT_EQ(out(), 0U);
  host_->body.append("hello");
  EXPECT_EQ(run(all), 0);
  EXPECT_EQ(got(), "hello");
  EXPECT_EQ(run(middle), 0);
  EXPECT_EQ(got(), "ell");
  EXPECT_EQ(run(tail), 0);
  EXPECT_EQ(got(), "lo");
  EXPECT_EQ(run(beyond), 0);
  EXPECT_EQ(out(Guest::kOut + 8), 0U);
  EXPECT_EQ(run(status), 0);
  EXPECT_EQ(out(), 5U);
  EXPECT_EQ(run(vm), 0);
  EXPECT_EQ(got(), "vm");
  EXPECT_EQ(run(plugin), 1) << "only while it is configured";
  EXPECT_EQ(run(unknown), 2);
}

TEST_F(HostCallsTest, Properties) {
  const std::string path = "custom\0key"s;
  const std::string cpp_path = path + "\0"s;
  const auto set =
      call("proxy_set_property", {guest_.text(path), size_of(path), guest_.text("v1"), 2});
  const auto get = call("proxy_get_property", {guest_.text(cpp_path), size_of(cpp_path), kA, kB});
  const auto name = call("proxy_get_property", {guest_.text("plugin_name"), 11, kA, kB});
  const auto none = call("proxy_get_property", {guest_.text("nothing"), 7, kA, kB});
  const auto whole = call("proxy_get_property", {guest_.text("request"), 7, kA, kB});
  go();
  EXPECT_EQ(run(get), 1);
  EXPECT_EQ(run(set), 0);
  EXPECT_EQ(run(get), 0);
  EXPECT_EQ(got(), "v1");
  EXPECT_EQ(host_->properties().at(path).value, "v1");
  EXPECT_EQ(run(name), 0);
  EXPECT_EQ(got(), "tested");
  EXPECT_EQ(run(none), 1);
  EXPECT_EQ(run(whole), 3);
  TestContext root(nullptr);
  EXPECT_EQ(ProxyWasmTest::run(set, root), 0);
  EXPECT_EQ(ProxyWasmTest::run(get, root), 0);
}

TEST_F(HostCallsTest, StreamCalls) {
  const std::string reply_headers =
      pairs_of({{"X-Why", "because"}, {"bad name", "x"}, {"content-length", "7"}});
  const auto resume = call("proxy_continue_stream", {0});
  const auto resume_response = call("proxy_continue_stream", {1});
  const auto downstream = call("proxy_continue_stream", {2});
  const auto bad = call("proxy_continue_stream", {4});
  const auto old = call("proxy_continue_request", {});
  const auto reset = call("proxy_close_stream", {0});
  const auto route = call("proxy_clear_route_cache", {});
  const auto reply =
      call("proxy_send_local_response", {403, guest_.text("so what"), 7, guest_.text("no"), 2,
                                         guest_.text(reply_headers), size_of(reply_headers), -1});
  const auto effective = call("proxy_set_effective_context", {2});
  const auto nobody = call("proxy_set_effective_context", {99});
  const auto done = call("proxy_done", {});
  go();
  context_->paused = {true, true};
  EXPECT_EQ(run(resume), 0);
  EXPECT_EQ(run(old), 0);
  EXPECT_EQ(host_->continued_request, 2);
  EXPECT_FALSE(context_->paused[0]);
  EXPECT_EQ(run(resume_response), 0);
  EXPECT_EQ(host_->continued_response, 1);
  EXPECT_EQ(run(downstream), 0);
  EXPECT_EQ(run(bad), 2);
  EXPECT_EQ(run(reset), 0);
  EXPECT_EQ(host_->resets, 1);
  EXPECT_EQ(run(route), 0);
  EXPECT_EQ(host_->cleared_routes, 1);
  EXPECT_EQ(run(reply), 0);
  ASSERT_TRUE(host_->reply.has_value());
  EXPECT_EQ(host_->reply->status, 403);
  EXPECT_EQ(host_->reply->details, "so_what");
  EXPECT_EQ(host_->reply->body, "no");
  EXPECT_EQ(host_->reply->grpc_status, -1);
  ASSERT_EQ(host_->reply->headers.size(), 1U);
  EXPECT_EQ(host_->reply->headers[0].second, "because");
  EXPECT_EQ(run(effective), 0);
  EXPECT_EQ(run(nobody), 2);
  EXPECT_EQ(run(done), 0);
  TestContext root(nullptr);
  for (const auto index : {resume, reset, route, reply, done})
    EXPECT_EQ(ProxyWasmTest::run(index, root), 0);
}

TEST_F(HostCallsTest, HttpCalls) {
  const std::string good = pairs_of(
      {{":method", "POST"}, {":path", "/v"}, {":authority", ""}, {"content-length", "99"}});
  const std::string no_path = pairs_of({{":method", "GET"}, {":authority", "a"}});
  spec_.permitted_hosts = {"*.svc.test:80"};
  const auto make = [&](std::string_view upstream, const std::string& headers, std::int64_t timeout,
                        std::int64_t token) {
    return call("proxy_http_call",
                {guest_.text(upstream), size_of(upstream), guest_.text(headers), size_of(headers),
                 guest_.text("body"), 4, 0, 0, timeout, token});
  };
  const auto ok = make("auth", good, 1000, kA);
  const auto address = make("a.svc.test:80", good, 0, kA);
  const auto unknown = make("nobody", good, 0, kA);
  const auto forbidden = make("a.other.test:80", good, 0, kA);
  const auto incomplete = make("auth", no_path, 0, kA);
  const auto negative = make("auth", good, -1, kA);
  const auto no_token = make("auth", good, 0, 0x7fffffff);
  const auto status = call("proxy_get_status", {kA, kB, kC});
  go();
  for (const auto index : {unknown, forbidden, incomplete, negative}) EXPECT_EQ(run(index), 2);
  EXPECT_EQ(run(no_token), 6);
  EXPECT_TRUE(upstreams_.calls.empty()) << "nothing may happen before the arguments are checked";
  EXPECT_EQ(run(ok), 0);
  EXPECT_EQ(out(), 4U);
  EXPECT_EQ(run(address), 0);
  EXPECT_EQ(out(), 8U);
  EXPECT_EQ(run(ok), 10) << "outbound_calls is 2";
  EXPECT_EQ(counter("heddle_plugin_limit_hits_total",
                    {{"plugin", "tested"}, {"limit", "outbound_calls"}}),
            1U);
  ASSERT_EQ(upstreams_.calls.size(), 2U);
  EXPECT_EQ(upstreams_.calls[0]->request.body, "body");
  EXPECT_EQ(upstreams_.calls[0]->request.headers.size(), 3U) << "framing is Heddle's";
  EXPECT_EQ(upstreams_.calls[0]->request.timeout, std::chrono::seconds(1));
  EXPECT_EQ(run(status), 0);
  EXPECT_EQ(out(), 0U);
  vm_->close(*context_);
  context_.reset();
  vm_.reset();
  root_.reset();
  EXPECT_TRUE(upstreams_.calls[0]->cancelled) << "calls end with their VM";
}

TEST_F(HostCallsTest, SharedDataAcrossVms) {
  spec_.vm_id = "space";
  const auto key = guest_.text("key");
  const auto set = call("proxy_set_shared_data", {key, 3, guest_.text("value"), 5, 0});
  const auto get = call("proxy_get_shared_data", {key, 3, kA, kB, kC});
  const auto stale = call("proxy_set_shared_data", {key, 3, guest_.text("other"), 5, 4000000});
  const auto empty = call("proxy_set_shared_data", {key, 3, 0, 0, 0});
  go();
  EXPECT_EQ(run(get), 1);
  EXPECT_EQ(run(set), 0);
  EXPECT_EQ(run(stale), 8);
  EXPECT_EQ(run(get), 0);
  EXPECT_EQ(got(), "value");
  EXPECT_NE(out(Guest::kOut + 16), 0U);
  const auto cas = shared_data_.get("space", "key")->cas;
  auto other = Root::create(version_, worker_.get(), nullptr);
  ASSERT_TRUE(other.has_value());
  Vm& vm = (*other)->vm();
  auto function = vm.instance().function<std::uint32_t()>("r" + std::to_string(set));
  EXPECT_EQ(vm.call(Callback::kTick, **other, *function), 0U);
  EXPECT_NE(shared_data_.get("space", "key")->cas, cas);
  EXPECT_FALSE(shared_data_.set("space", "key", "mine", cas).has_value())
      << "the other VM was faster";
  EXPECT_EQ(run(empty), 0);
  EXPECT_EQ(run(get), 0);
  EXPECT_EQ(out(Guest::kOut + 8), 0U);
}

TEST_F(HostCallsTest, SharedDataThatAreFullStillTakeWhatIsNew) {
  const auto fill = [&](std::string_view key) {
    for (int i = 0; i < 64; ++i) {
      shared_data_.set("", std::to_string(i), std::string(1 << 20, 'x'), 0).value();
    }
    shared_data_.set("", key, std::string(1'000'000, 'x'), 0).value();
  };
  const auto set = call("proxy_set_shared_data", {guest_.text("key"), 3, 0, 60'000, 0});
  const auto again = call("proxy_set_shared_data", {guest_.text("new"), 3, 0, 60'000, 0});
  go();
  fill("filler");
  EXPECT_EQ(run(set), 0) << "the Rust SDK panics on anything else";
  EXPECT_TRUE(shared_data_.get("", "key").has_value());
  fill("another");
  EXPECT_EQ(run(again), 0);
  EXPECT_EQ(
      counter("heddle_plugin_limit_hits_total", {{"plugin", "tested"}, {"limit", "shared_data"}}),
      2U);
  const auto lines = messages();
  EXPECT_EQ(std::ranges::count_if(
                lines, [](const std::string& line) { return line.contains("vm_id are full"); }),
            1)
      << "once a minute";
}

TEST_F(HostCallsTest, SharedDataDenied) {
  spec_.permit_shared_data = false;
  const auto set = call("proxy_set_shared_data", {guest_.text("key"), 3, 0, 0, 0});
  const auto get = call("proxy_get_shared_data", {guest_.text("key"), 3, kA, kB, kC});
  go();
  EXPECT_EQ(run(set), 10);
  EXPECT_EQ(run(get), 1);
}

TEST_F(HostCallsTest, SharedQueues) {
  const auto name = guest_.text("queue");
  const auto make = call("proxy_register_shared_queue", {name, 5, kA});
  const auto find = call("proxy_resolve_shared_queue", {0, 0, name, 5, kA});
  const auto none = call("proxy_resolve_shared_queue", {guest_.text("vm"), 2, name, 5, kA});
  const auto put = call("proxy_enqueue_shared_queue", {1, guest_.text("item"), 4});
  const auto put_nowhere = call("proxy_enqueue_shared_queue", {9, 0, 0});
  const auto take = call("proxy_dequeue_shared_queue", {1, kA, kB});
  go();
  EXPECT_EQ(run(find), 1);
  EXPECT_EQ(run(make), 0);
  EXPECT_EQ(out(), 1U);
  EXPECT_EQ(run(find), 0);
  EXPECT_EQ(run(none), 1);
  EXPECT_EQ(run(take), 7);
  EXPECT_EQ(run(put), 0);
  EXPECT_EQ(run(put_nowhere), 1);
  EXPECT_EQ(run(take), 0);
  EXPECT_EQ(got(), "item");
}

TEST_F(HostCallsTest, Metrics) {
  const auto define = [&](std::int64_t type, std::string_view name) {
    return call("proxy_define_metric", {type, guest_.text(name), size_of(name), kA});
  };
  const auto counter_id = define(0, "requests");
  const auto gauge_id = define(1, "active");
  const auto histogram_id = define(2, "latency");
  const auto again = define(0, "requests");
  const auto conflict = define(1, "requests");
  const auto unknown_type = define(3, "x");
  const auto up = call("proxy_increment_metric", {0, 5});
  const auto down = call("proxy_increment_metric", {0, -1});
  const auto gauge_down = call("proxy_increment_metric", {1, -7});
  const auto histogram_up = call("proxy_increment_metric", {2, 1});
  const auto record = call("proxy_record_metric", {0, 3});
  const auto observe = call("proxy_record_metric", {2, 42});
  const auto no_record = call("proxy_record_metric", {9, 1});
  const auto get = call("proxy_get_metric", {0, kA});
  const auto get_gauge = call("proxy_get_metric", {1, kA});
  const auto get_histogram = call("proxy_get_metric", {2, kA});
  const auto get_none = call("proxy_get_metric", {3, kA});
  go();
  for (const auto& [index, id] : {std::pair(counter_id, 0U), std::pair(gauge_id, 1U),
                                  std::pair(histogram_id, 2U), std::pair(again, 0U)}) {
    EXPECT_EQ(run(index), 0);
    EXPECT_EQ(out(), id);
  }
  EXPECT_EQ(run(conflict), 2);
  EXPECT_EQ(run(unknown_type), 2);
  for (const auto index : {up, gauge_down, record, observe}) EXPECT_EQ(run(index), 0);
  EXPECT_EQ(run(down), 2);
  EXPECT_EQ(run(histogram_up), 2);
  EXPECT_EQ(run(no_record), 1);
  EXPECT_EQ(run(get), 0);
  EXPECT_EQ(*vm_->instance().memory().load<std::uint64_t>(Guest::kOut), 8U);
  EXPECT_EQ(run(get_gauge), 0);
  EXPECT_EQ(static_cast<std::int64_t>(*vm_->instance().memory().load<std::uint64_t>(Guest::kOut)),
            -7);
  EXPECT_EQ(run(get_histogram), 2);
  EXPECT_EQ(run(get_none), 1);
  EXPECT_EQ(counter("heddle_plugin_custom_requests", {{"plugin", "tested"}}), 8U);
}

TEST_F(HostCallsTest, LogAndTime) {
  const auto info = call("proxy_log", {2, guest_.text("a line\n"), 7});
  const auto bad = call("proxy_log", {6, 0, 0});
  const auto level = call("proxy_get_log_level", {kA});
  const auto time = call("proxy_get_current_time_nanoseconds", {kA + 1});  // unaligned
  go();
  EXPECT_EQ(run(info), 0);
  EXPECT_EQ(run(bad), 2);
  EXPECT_EQ(run(level), 0);
  EXPECT_EQ(out(), 0U);
  EXPECT_EQ(run(time), 0);
  const std::string text = logged();
  EXPECT_NE(text.find(R"("message":"a line")"), std::string::npos) << text;
  EXPECT_NE(text.find(R"("plugin":"tested")"), std::string::npos);
  EXPECT_NE(text.find(R"("request_id":"the-request")"), std::string::npos);
}

// Every argument of every host call in turn is an address or a length that is out of bounds;
// whatever the call is, it returns, and the host's memory stays its own (ASan watches).
TEST_F(HostCallsTest, HostileArguments) {
  const std::int64_t end = std::int64_t{Guest::kPages} * 65536;
  std::vector<std::size_t> calls;
  for (const HostFunction& function : env_functions()) {
    if (function.name == "abort" || !function.has_result) continue;
    for (std::size_t at = 0; at < function.parameter_count; ++at) {
      for (const std::int64_t value :
           {end - 1, end, end + 1, std::int64_t{0x7fffffff}, std::int64_t{0xffffffff}}) {
        std::vector<std::int64_t> arguments(function.parameter_count, kA);
        arguments[at] = value;
        calls.push_back(call(function.name, arguments));
      }
    }
  }
  go();
  host_->has_body = true;
  host_->has_response = true;
  host_->body.append("hello");
  for (const std::size_t index : calls) {
    const int status = run(index);
    EXPECT_GE(status, 0);
    EXPECT_LE(status, 12);
    if (vm_->failed()) FAIL() << index;
  }
}

TEST_F(HostCallsTest, AllocatorsThatLie) {
  for (const std::string_view body :
       {"(i32.const 0)", "(i32.const -1)", "(i32.const 131071)", "(i32.const -5)"}) {
    Guest guest;
    guest.allocator(body);
    const auto get = guest.call("proxy_get_header_map_value", {0, guest.text(":path"), 5, kA, kB});
    start_vm(guest);
    TestContext context(host_.get());
    ASSERT_TRUE(open_context(context));
    EXPECT_EQ(ProxyWasmTest::run(get, context), 6) << body;
    vm_->close(context);
  }
}

TEST_F(HostCallsTest, AnAllocatorMayLogButNothingElse) {
  Guest guest;
  guest.allocator(guest.log("from within") + "(i32.const 40000)");
  const auto get = guest.call("proxy_get_header_map_value", {0, guest.text(":path"), 5, kA, kB});
  start_vm(guest);
  {
    TestContext context(host_.get());
    ASSERT_TRUE(open_context(context));
    EXPECT_EQ(ProxyWasmTest::run(get, context), 0);
    vm_->close(context);
  }
  EXPECT_NE(logged().find("from within"), std::string::npos);

  Guest bad;
  bad.allocator("(drop " + bad.invoke("proxy_continue_stream", {0}) + ") (i32.const 40000)");
  const auto again = bad.call("proxy_get_header_map_value", {0, bad.text(":path"), 5, kA, kB});
  start_vm(bad);
  TestContext context(host_.get());
  ASSERT_TRUE(open_context(context));
  EXPECT_EQ(ProxyWasmTest::run(again, context), -1);
  EXPECT_TRUE(vm_->failed());
  EXPECT_EQ(context.failures, 1);
  EXPECT_EQ(host_->continued_request, 0);
  vm_->close(context);
}

TEST(PermittedHosts, Patterns) {
  const std::vector<std::string> patterns = {"auth.internal:443", "*.svc:80"};
  EXPECT_TRUE(is_permitted(patterns, "AUTH.internal:443"));
  EXPECT_TRUE(is_permitted(patterns, "a.b.svc:80"));
  for (const std::string_view address : {"auth.internal:80", "auth.internal", ".svc:80", "svc:80",
                                         "x.svc:81", "x.svc:0", "x y.svc:80", "a/b.svc:80", ""}) {
    EXPECT_FALSE(is_permitted(patterns, address)) << address;
  }
  EXPECT_TRUE(is_permitted(std::vector<std::string>{"*"}, "anything:1"));
  EXPECT_FALSE(is_permitted(std::vector<std::string>{"*"}, "anything"));
  EXPECT_FALSE(is_permitted({}, "a:1"));
}

}  // namespace
}  // namespace heddle::proxy_wasm
