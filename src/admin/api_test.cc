#include "admin/api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <set>

#include "plugins/fake_sandbox.h"
#include "plugins/test_folder.h"

namespace heddle::admin {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr const char* kGood = "module\nexport fake\nimport env.log\n";

class FakeGateway final : public GatewayView {
 public:
  std::vector<RouteView> routes() const override {
    RouteView route;
    route.id = "all";
    route.host = "*";
    route.path = "/*";
    route.methods = {"GET"};
    route.headers = {{"x-a", "1"}};
    route.upstream = "api";
    route.plugins = {"auth"};
    route.timeout = std::chrono::seconds(30);
    route.priority = 3;
    route.unavailable = unavailable;
    return {route};
  }
  std::vector<UpstreamView> upstreams() const override {
    UpstreamView upstream;
    upstream.name = "api";
    upstream.load_balancer = "round_robin";
    EndpointView endpoint;
    endpoint.address = endpoint.host = "127.0.0.1:9000";
    endpoint.active_connections = 5;
    upstream.endpoints = {endpoint};
    return {upstream};
  }
  Phase phase() const override { return current; }
  GatewayCounts counts() const override { return {2, 10, 4, 1, 7}; }

  ReloadView reload() const override { return last_reload; }

  Phase current = Phase::kServing;
  ReloadView last_reload;
  std::string unavailable;
};

class ApiTest : public ::testing::Test {
 protected:
  ApiTest() {
    config::Plugin plugin;
    plugin.name = "auth";
    plugin.path = folder_.write("auth.wasm", kGood);
    plugin.configuration = R"({"limit":12,"nested":{"on":true}})";
    plugin.phases = {"on_request_headers", "on_log"};
    plugin.priority = 100;
    config_->plugins = {plugin};
    config_->effective_yaml = "listeners:\n  - name: public\nworkers: 2\n";
    config_->files = {folder_.file("heddle.yaml")};
    registry_.load(*config_);
  }

  ApiDependencies dependencies() {
    return {.registry = registry_,
            .gateway = gateway_,
            .metrics = metrics_,
            .config = [this] { return config_; },
            .run_on_control =
                [this](std::move_only_function<void()> task) {
                  ++control_tasks_;
                  task();
                },
            .reload_config = reload_,
            .log = *log_,
            .started_at = 1'000'000'000,
            .now = [] { return Nanoseconds{3'724'000'000'000}; }};
  }
  Response call(const std::string& method, const std::string& target,
                const std::string& body = {}) {
    const Api api(dependencies());
    Request request;
    request.method = method;
    request.target = target;
    request.body = body;
    std::vector<Response> answers;
    api.handle(request, [&](Response response) { answers.push_back(std::move(response)); });
    EXPECT_EQ(answers.size(), 1U) << method << " " << target;
    return answers.empty() ? Response{} : answers.front();
  }
  boost::json::value json(const Response& response) {
    EXPECT_EQ(response.content_type, "application/json");
    return boost::json::parse(response.body);
  }
  void expect_error(const Response& response, int status, std::string_view code) {
    EXPECT_EQ(response.status, status) << response.body;
    const auto error = json(response).at("error").as_object();
    EXPECT_EQ(error.at("code").as_string(), code);
    EXPECT_FALSE(error.at("message").as_string().empty());
  }
  static std::set<std::string> keys(const boost::json::value& object) {
    std::set<std::string> out;
    for (const auto& item : object.as_object()) out.emplace(item.key());
    return out;
  }

  plugins::testing::TestFolder folder_;
  plugins::testing::FakeEngine engine_;
  plugins::testing::FakeContract contract_;
  std::unique_ptr<Log> log_ = Log::null();
  metrics::Registry metrics_;
  plugins::Registry registry_{engine_, {&contract_}, *log_, metrics_};
  FakeGateway gateway_;
  std::shared_ptr<config::Config> config_ = std::make_shared<config::Config>();
  std::function<ConfigReload()> reload_;
  int control_tasks_ = 0;
};

TEST_F(ApiTest, PluginsIsTheBareArrayOfTheGuide) {
  const auto list = json(call("GET", "/plugins")).as_array();
  ASSERT_EQ(list.size(), 1U);
  const auto& plugin = list[0];
  EXPECT_EQ(keys(plugin), (std::set<std::string>{"name", "kind", "path", "phase", "priority",
                                                 "version", "state", "loaded_at", "memory_limit_mb",
                                                 "vm_id", "timeout_ms", "config", "stats"}));
  EXPECT_EQ(plugin.at("name").as_string(), "auth");
  EXPECT_EQ(plugin.at("kind").as_string(), "fake");
  EXPECT_EQ(plugin.at("phase").as_string(), "on_request_headers,on_log");
  EXPECT_EQ(plugin.at("priority").as_int64(), 100);
  EXPECT_EQ(plugin.at("version").as_int64(), 1);
  EXPECT_EQ(plugin.at("state").as_string(), "active");
  EXPECT_TRUE(plugin.at("loaded_at").as_string().ends_with("Z"));
  EXPECT_EQ(plugin.at("memory_limit_mb").as_int64(), 16);
  EXPECT_EQ(plugin.at("timeout_ms").as_int64(), 100);
  EXPECT_EQ(plugin.at("config").at("limit").as_int64(), 12);
  EXPECT_EQ(plugin.at("config").at("nested").at("on").as_bool(), true);
  EXPECT_EQ(plugin.at("stats").at("calls").as_int64(), 7);
  EXPECT_EQ(control_tasks_, 0);
}

TEST_F(ApiTest, SecretsInAPluginsConfigurationAreNotShown) {
  auto config = std::make_shared<config::Config>(*config_);
  config->plugins[0].configuration = R"({"jwt_secret":"hunter2"})";
  config->plugins[0].environment = {{"DB_PASSWORD", "hunter2"}};
  registry_.apply(*config);
  EXPECT_THAT(call("GET", "/plugins").body, ::testing::Not(HasSubstr("hunter2")));
  EXPECT_THAT(call("GET", "/plugins/auth").body,
              AllOf(::testing::Not(HasSubstr("hunter2")), HasSubstr("DB_PASSWORD")));
}

TEST_F(ApiTest, PluginDetails) {
  const auto plugin = json(call("GET", "/plugins/auth?x=1"));
  EXPECT_EQ(plugin.at("exports").as_array().at(0).at("name").as_string(), "fake");
  EXPECT_EQ(plugin.at("imports").as_array().at(0).at("module").as_string(), "env");
  EXPECT_EQ(plugin.at("limits").at("memory_bytes").as_int64(), 16 << 20);
  EXPECT_EQ(plugin.at("permissions").at("shared_data").as_bool(), true);
  EXPECT_EQ(
      keys(plugin.at("permissions")),
      (std::set<std::string>{"http", "private_networks", "shared_data", "sql", "state", "events",
                             "plugins", "environment", "foreign_functions", "capabilities"}));
  EXPECT_EQ(plugin.at("last_error").as_string(), "trapped once");
  EXPECT_EQ(plugin.at("sha256").as_string().size(), 64U);
  EXPECT_EQ(plugin.at("on_failure").as_string(), "closed");
  expect_error(call("GET", "/plugins/none"), 404, "plugin_not_found");
}

TEST_F(ApiTest, NamesArePercentDecoded) {
  EXPECT_EQ(call("GET", "/plugins/%61uth").status, 200);
  EXPECT_EQ(call("GET", "/plugins/auth/").status, 200);
  expect_error(call("GET", "/plugins/auth%2freload"), 404, "plugin_not_found");
}

TEST_F(ApiTest, ReloadAnswersAsTheGuideSays) {
  const Response response = call("POST", "/plugins/auth/reload");
  EXPECT_EQ(response.status, 200);
  const auto answer = json(response);
  EXPECT_EQ(keys(answer), (std::set<std::string>{"message", "plugin", "old_version", "new_version",
                                                 "reloaded_at"}));
  EXPECT_EQ(answer.at("message").as_string(), "Plugin reloaded successfully");
  EXPECT_EQ(answer.at("old_version").as_int64(), 1);
  EXPECT_EQ(answer.at("new_version").as_int64(), 2);
  EXPECT_EQ(control_tasks_, 1);
  expect_error(call("POST", "/plugins/none/reload"), 404, "plugin_not_found");
}

TEST_F(ApiTest, FailedReloadSaysWhyAndWhatServes) {
  folder_.write("auth.wasm", "module\nexport fake\nfail on_configure returned false\n");
  const Response response = call("POST", "/plugins/auth/reload");
  expect_error(response, 422, "reload_failed");
  EXPECT_THAT(response.body, HasSubstr("on_configure returned false"));
  EXPECT_EQ(json(response).at("serving_version").as_int64(), 1);
  EXPECT_THAT(std::string(json(call("GET", "/plugins/auth")).at("last_error").as_string()),
              HasSubstr("on_configure returned false"));
  folder_.remove("auth.wasm");  // a missing file is not a missing plugin
  expect_error(call("POST", "/plugins/auth/reload"), 422, "reload_failed");
}

TEST_F(ApiTest, EnableAndDisable) {
  const auto disabled = json(call("POST", "/plugins/auth/disable"));
  EXPECT_EQ(disabled.at("state").as_string(), "disabled");
  EXPECT_FALSE(registry_.set()->find("auth")->enabled);
  const auto enabled = json(call("POST", "/plugins/auth/enable"));
  EXPECT_EQ(enabled.at("state").as_string(), "active");
  EXPECT_EQ(enabled.at("version").as_int64(), 2);
  expect_error(call("POST", "/plugins/none/enable"), 404, "plugin_not_found");
  expect_error(call("POST", "/plugins/none/disable"), 404, "plugin_not_found");
}

TEST_F(ApiTest, EnablingWhatCannotBeLoadedIs422) {
  auto config = std::make_shared<config::Config>();
  config->plugins.emplace_back();
  config->plugins[0].name = "bad";
  config->plugins[0].path = folder_.write("bad.wasm", "module\n");
  config->plugins[0].enabled = false;
  registry_.apply(*config);
  expect_error(call("POST", "/plugins/bad/enable"), 422, "enable_failed");
  EXPECT_TRUE(json(call("GET", "/plugins/bad")).at("loaded_at").is_null());
}

TEST_F(ApiTest, Events) {
  const auto answer = json(call("GET", "/events"));
  EXPECT_EQ(answer.at("count").as_int64(), 1);
  EXPECT_EQ(answer.at("events").as_array().at(0).at("event").as_string(), "loaded");
}

TEST_F(ApiTest, RoutesAndUpstreams) {
  const auto route = json(call("GET", "/routes")).as_array().at(0);
  EXPECT_EQ(route.at("id").as_string(), "all");
  EXPECT_EQ(route.at("plugins").as_array().at(0).as_string(), "auth");
  EXPECT_EQ(route.at("timeout_ms").as_int64(), 30'000);
  EXPECT_FALSE(route.as_object().contains("unavailable"));
  gateway_.unavailable = "plugin auth: no such file";
  EXPECT_THAT(call("GET", "/routes").body, HasSubstr("no such file"));
  const auto upstream = json(call("GET", "/upstreams")).as_array().at(0);
  EXPECT_EQ(upstream.at("name").as_string(), "api");
  EXPECT_EQ(upstream.at("endpoints").as_array().at(0).at("active_connections").as_int64(), 5);
  EXPECT_EQ(upstream.at("circuit_state").as_string(), "closed");
}

TEST_F(ApiTest, Info) {
  const auto info = json(call("GET", "/info"));
  EXPECT_EQ(info.at("version").as_string(), HEDDLE_VERSION);
  EXPECT_EQ(info.at("uptime").as_string(), "1h2m3s");
  EXPECT_EQ(info.at("uptime_seconds").as_int64(), 3723);
  EXPECT_EQ(info.at("plugins").as_int64(), 1);
  EXPECT_EQ(info.at("workers").as_int64(), 2);
  EXPECT_GT(info.at("pid").as_int64(), 0);
}

TEST_F(ApiTest, HealthAndReady) {
  EXPECT_EQ(json(call("GET", "/health")).at("status").as_string(), "healthy");
  EXPECT_EQ(json(call("GET", "/ready")).at("status").as_string(), "ready");
  gateway_.current = Phase::kStarting;
  EXPECT_EQ(json(call("GET", "/ready")).at("status").as_string(), "starting");
  gateway_.current = Phase::kDraining;
  expect_error(call("GET", "/ready"), 503, "not_ready");
  EXPECT_EQ(call("GET", "/health").status, 200);
  EXPECT_TRUE(Api::is_public("/health?x"));
  EXPECT_TRUE(Api::is_public("/ready"));
  EXPECT_FALSE(Api::is_public("/metrics"));
  EXPECT_FALSE(Api::is_public("/healthy"));
}

TEST_F(ApiTest, Metrics) {
  const Response response = call("GET", "/metrics");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.content_type, HasSubstr("version=0.0.4"));
  EXPECT_THAT(response.body, HasSubstr("heddle_plugin_version{plugin=\"auth\"} 1\n"));
  config_->metrics_path = "/stats/prometheus";
  EXPECT_EQ(call("GET", "/stats/prometheus").status, 200);
  config_->metrics_path = "/prom/";
  EXPECT_EQ(call("GET", "/prom/").status, 200);
  EXPECT_EQ(call("GET", "/prom").status, 200);
  config_->metrics_path = "/stats/prometheus";
  config_->metrics_enabled = false;
  expect_error(call("GET", "/stats/prometheus"), 404, "metrics_disabled");
}

TEST_F(ApiTest, NoPathOfItsOwnMayBeThatOfTheMetrics) {
  for (const char* path :
       {"/plugins", "/plugins/auth", "/plugins/auth/reload", "/api/plugins/auth/enable", "/events",
        "/routes", "/upstreams", "/config", "/config/reload", "/config/validate", "/info",
        "/health", "/ready", "/health/"}) {
    const auto read = config::read_text(
        "metrics: {prometheus: {path: " + std::string(path) + "}}\n", "test", "", {});
    EXPECT_FALSE(read.ok()) << path;
    EXPECT_NE(call("GET", path).status, 404) << path;
  }
}

TEST_F(ApiTest, ChangesAreRefusedWhileDraining) {
  gateway_.current = Phase::kDraining;
  reload_ = [] { return ConfigReload{.applied = true, .problems = {}, .notes = {}}; };
  expect_error(call("POST", "/config/reload"), 503, "draining");
  expect_error(call("POST", "/plugins/auth/disable"), 503, "draining");
  EXPECT_EQ(control_tasks_, 0);
}

TEST_F(ApiTest, ConfigAsYamlAndJson) {
  const Response yaml = call("GET", "/config");
  EXPECT_EQ(yaml.content_type, "application/yaml");
  EXPECT_EQ(yaml.body, config_->effective_yaml);
  const auto object = json(call("GET", "/config?format=json"));
  EXPECT_EQ(object.at("workers").as_int64(), 2);
  EXPECT_EQ(object.at("listeners").as_array().at(0).at("name").as_string(), "public");
}

TEST_F(ApiTest, ConfigReload) {
  expect_error(call("POST", "/config/reload"), 501, "not_implemented");
  ConfigReload result{.applied = true, .problems = {}, .notes = {"listeners changed: restart"}};
  reload_ = [&] { return result; };
  const Response done = call("POST", "/config/reload");
  EXPECT_EQ(done.status, 200);
  EXPECT_EQ(json(done).at("notes").as_array().size(), 1U);
  result = {.applied = false,
            .problems = {{config::Problem::Severity::kWarning, {"f", 1, 1}, "a", "odd", ""},
                         {config::Problem::Severity::kError, {"f", 2, 3}, "b", "wrong", "right"},
                         {config::Problem::Severity::kError, {"f", 4, 5}, "c", "wrong too", ""}},
            .notes = {}};
  const Response refused = call("POST", "/config/reload");
  expect_error(refused, 422, "invalid_configuration");
  const auto body = json(refused);
  EXPECT_EQ(body.at("errors").as_array().size(), 2U);
  EXPECT_EQ(body.at("warnings").as_array().size(), 1U);
  EXPECT_EQ(body.at("errors").as_array().at(0).at("line").as_int64(), 2);
  EXPECT_THAT(std::string(body.at("error").at("message").as_string()),
              AllOf(HasSubstr("f:2:3"), HasSubstr("(and 1 more)")));
}

TEST_F(ApiTest, ConfigValidate) {
  expect_error(call("POST", "/config/validate"), 400, "empty_body");
  const Response good = call("POST", "/config/validate", "workers: 1\n");
  EXPECT_EQ(good.status, 200) << good.body;
  EXPECT_EQ(json(good).at("valid").as_bool(), true);
  const Response bad = call("POST", "/config/validate", "workers: many\nlistenerz: []\n");
  expect_error(bad, 422, "invalid_configuration");
  EXPECT_EQ(json(bad).at("errors").as_array().size(), 2U) << bad.body;
}

TEST_F(ApiTest, AnswersBeforeThereIsAConfiguration) {
  config_ = nullptr;
  expect_error(call("GET", "/config"), 503, "not_ready");
  EXPECT_EQ(call("GET", "/metrics").status, 200);
  EXPECT_EQ(call("POST", "/config/validate", "workers: 1\n").status, 200);
  expect_error(call("GET", "/nothing"), 404, "not_found");
}

TEST_F(ApiTest, UnknownPathsAndWrongMethods) {
  for (const char* path : {"/", "/nothing", "/plugins/auth/nothing", "/plugins/auth/reload/x",
                           "/pluginsx", "", "*", "//plugins"}) {
    expect_error(call("GET", path), 404, "not_found");
  }
  const Response reload = call("GET", "/plugins/auth/reload");
  expect_error(reload, 405, "method_not_allowed");
  EXPECT_THAT(reload.headers,
              ::testing::ElementsAre(std::pair<std::string, std::string>{"allow", "POST"}));
  const Response list = call("DELETE", "/plugins");
  expect_error(list, 405, "method_not_allowed");
  EXPECT_THAT(list.headers,
              ::testing::ElementsAre(std::pair<std::string, std::string>{"allow", "GET, HEAD"}));
}

TEST_F(ApiTest, HeadIsLikeGet) {
  for (const char* path : {"/plugins", "/plugins/auth", "/routes", "/upstreams", "/config", "/info",
                           "/health", "/ready", "/metrics", "/events"}) {
    EXPECT_EQ(call("HEAD", path).status, 200) << path;
  }
  expect_error(call("HEAD", "/plugins/auth/reload"), 405, "method_not_allowed");
}

}  // namespace
}  // namespace heddle::admin
