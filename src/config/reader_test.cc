// What the reader makes of single settings. Whole files and their messages: cases_test.cc and
// testdata/.
#include "config/reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace heddle::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string messages(const ReadResult& result) {
  std::string out;
  for (const Problem& problem : result.problems) out += to_string(problem) + "\n";
  return out;
}

std::shared_ptr<const Config> read_ok(const std::string& yaml, const std::string& base_dir = "") {
  ReadResult result = read_text(yaml, "test.yaml", base_dir, {});
  EXPECT_TRUE(result.ok()) << messages(result);
  return result.ok() ? result.config : std::make_shared<const Config>();
}

// The bytes that a plugin gets for `config:`.
std::string payload(const std::string& config) {
  const auto result =
      read_ok("plugins:\n  - name: a\n    path: a.wasm\n    config: " + config + "\n");
  return result->plugins.empty() ? "" : result->plugins[0].configuration.value_or("(absent)");
}

// A folder that goes away with the test.
class Folder {
 public:
  Folder() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "heddle-config-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name) << text;
  }
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST(Reader, EmptyFileGivesTheDefaults) {
  const auto config = read_ok("");
  ASSERT_EQ(config->listeners.size(), 1U);
  EXPECT_EQ(config->listeners[0].name, "public");
  EXPECT_EQ(config->listeners[0].address, "127.0.0.1:8080");
  EXPECT_EQ(config->listeners[0].limits.max_head_bytes, 65'536U);
  ASSERT_EQ(config->routes.size(), 1U);
  EXPECT_EQ(config->routes[0].id, "all");
  EXPECT_EQ(config->routes[0].path, "/*");
  EXPECT_EQ(config->routes[0].upstream, "echo");
  ASSERT_EQ(config->upstreams.size(), 1U);
  EXPECT_EQ(config->upstreams[0].builtin, "echo");
  EXPECT_EQ(config->admin.address, "127.0.0.1:9091");
  EXPECT_EQ(config->drain_timeout, Milliseconds(30'000));
  EXPECT_THAT(config->files, ElementsAre("test.yaml"));
}

TEST(Reader, LoomGuideConfigurationReachesThePluginAsJson) {
  const auto config = read_ok(R"(plugins:
  - name: my-plugin
    path: /plugins/my-plugin.wasm
    phase: on_request_headers
    priority: 100
    config:
      key1: value1
      key2: 123
      nested:
        key3: true
    memory_limit: 16MB
    timeout: 100ms
)");
  ASSERT_EQ(config->plugins.size(), 1U);
  const Plugin& plugin = config->plugins[0];
  EXPECT_EQ(plugin.path, "/plugins/my-plugin.wasm");
  EXPECT_THAT(plugin.phases, ElementsAre("on_request_headers"));
  EXPECT_EQ(plugin.priority, 100);
  EXPECT_EQ(plugin.configuration, R"({"key1":"value1","key2":123,"nested":{"key3":true}})");
  EXPECT_EQ(plugin.memory_limit, std::size_t{16} << 20U);
  EXPECT_EQ(plugin.timeout, Milliseconds(100));
  EXPECT_EQ(plugin.location.line, 2);
  EXPECT_EQ(config->routes.size(), 1U);
}

TEST(Reader, PayloadKeepsOrderAndTypes) {
  EXPECT_EQ(payload("{z: 1, a: [1, two, 3.50], m: {}}"), R"({"z":1,"a":[1,"two",3.50],"m":{}})");
  EXPECT_EQ(payload("{a: \"123\", b: 'true', c: null, d: ~, e: !!str 5}"),
            R"({"a":"123","b":"true","c":null,"d":null,"e":"5"})");
  EXPECT_EQ(payload("[123456789012345678901234567890, -0, +7, 007, 0x1F, 0o17]"),
            "[123456789012345678901234567890,-0,7,7,31,15]");
  EXPECT_EQ(payload("[1e3, .5, 5., -.5, 1.e2, 1.5E-3]"), "[1e3,0.5,5.0,-0.5,1.0e2,1.5E-3]");
  EXPECT_EQ(payload("[yes, on, 1.2.3, 1_000, 0x, e5, '', True]"),
            R"(["yes","on","1.2.3","1_000","0x","e5","",true])");
  EXPECT_EQ(payload("[\"\\u00e9\\n\\\"\", ü]"), "[\"é\\n\\\"\",\"ü\"]");
}

TEST(Reader, PayloadStringStaysAsItIs) {
  EXPECT_EQ(payload("plain text"), "plain text");
  EXPECT_EQ(payload("'{\"a\": 1}'"), "{\"a\": 1}");
  EXPECT_EQ(payload("|\n      two\n      lines\n"), "two\nlines\n");
  EXPECT_EQ(payload("42"), "42");
  EXPECT_EQ(payload("\"\""), "");
  EXPECT_EQ(payload(""), "(absent)");
}

TEST(Reader, VariablesComeFromTheEnvironment) {
  setenv("HEDDLE_TEST_SET", "value", 1);
  setenv("HEDDLE_TEST_EMPTY", "", 1);
  unsetenv("HEDDLE_TEST_UNSET");
  EXPECT_EQ(payload("a ${HEDDLE_TEST_SET} b"), "a value b");
  EXPECT_EQ(payload("${HEDDLE_TEST_UNSET:-other}"), "other");
  EXPECT_EQ(payload("x${HEDDLE_TEST_EMPTY}y"), "xy");
  EXPECT_EQ(payload("${HEDDLE_TEST_EMPTY:-other}"), "other");
  EXPECT_EQ(payload("$${HEDDLE_TEST_SET} $$ $"), "${HEDDLE_TEST_SET} $$ $");
  EXPECT_EQ(payload("{a: \"${HEDDLE_TEST_UNSET:-5}\"}"), R"({"a":"5"})");
  EXPECT_EQ(payload("\n      a: ${HEDDLE_TEST_UNSET:-5}"), R"({"a":5})");
}

TEST(Reader, VariablesCannotAddKeys) {
  setenv("HEDDLE_TEST_SET", "x\nworkers: 7", 1);
  const auto config =
      read_ok("plugins:\n  - name: a\n    path: a\n    config: ${HEDDLE_TEST_SET}\n");
  EXPECT_EQ(config->workers, 0U);
  setenv("HEDDLE_TEST_SET", "value", 1);
}

TEST(Reader, PathsAreRelativeToTheFile) {
  const auto config = read_ok(
      "plugins: [{name: a, path: p/a.wasm}, {name: b, path: /b.wasm}, {name: c, path: ../c.wasm}]\n"
      "plugin_directories: [more]\ndata_dir: data\n",
      "/etc/heddle");
  EXPECT_EQ(config->plugins[0].path, "/etc/heddle/p/a.wasm");
  EXPECT_EQ(config->plugins[1].path, "/b.wasm");
  EXPECT_EQ(config->plugins[2].path, "/etc/c.wasm");
  EXPECT_EQ(config->plugin_directories[0].path, "/etc/heddle/more");
  EXPECT_EQ(config->data_dir, "data");
}

TEST(Reader, CacheFolderFollowsTheEnvironment) {
  const char* home = getenv("HOME");
  const std::string before = home == nullptr ? "" : home;
  setenv("HOME", "/home/ann", 1);
  unsetenv("XDG_CACHE_HOME");
  EXPECT_EQ(read_ok("")->engine.cache_dir, "/home/ann/.cache/heddle");
  EXPECT_EQ(read_ok("engine: {cache_dir: ~/c}")->engine.cache_dir, "/home/ann/c");
  EXPECT_EQ(read_ok("engine: {cache_dir: \"\"}")->engine.cache_dir, "");
  setenv("XDG_CACHE_HOME", "/cache", 1);
  EXPECT_EQ(read_ok("")->engine.cache_dir, "/cache/heddle");
  unsetenv("XDG_CACHE_HOME");
  setenv("HOME", before.c_str(), 1);
}

TEST(Reader, DerivedNames) {
  const auto config = read_ok(
      "listeners: [{address: \":1\"}, {address: \":2\"}]\nupstreams: [{name: e, builtin: echo}]\n"
      "routes: [{path: \"/users/:id/*\", upstream: e}, {path: /users/id, upstream: e}, {upstream: "
      "e}]\n");
  EXPECT_EQ(config->listeners[0].name, "public");
  EXPECT_EQ(config->listeners[1].name, "listener-2");
  EXPECT_EQ(config->routes[0].id, "users-id");
  EXPECT_EQ(config->routes[1].id, "users-id-2");
  EXPECT_EQ(config->routes[2].id, "all");
}

TEST(Reader, Phases) {
  const auto phases = [](const std::string& phase) {
    return read_ok("plugins: [{name: a, path: a, phase: " + phase + "}]")->plugins[0].phases;
  };
  EXPECT_THAT(phases("all"), IsEmpty());
  EXPECT_THAT(phases("[]"), IsEmpty());
  EXPECT_THAT(phases("on_log"), ElementsAre("on_log"));
  EXPECT_THAT(phases("[on_request_body, on_log]"), ElementsAre("on_request_body", "on_log"));
}

TEST(Reader, LenientTurnsUnknownKeysIntoWarnings) {
  const ReadResult result = read_text("wrokers: 1\n", "test.yaml", "", {.lenient = true});
  EXPECT_TRUE(result.ok());
  EXPECT_THAT(messages(result), HasSubstr("warning: unknown key \"wrokers\"; ignored"));
}

TEST(Reader, EveryProblemOfAFileIsReported) {
  std::string yaml = "plugins:\n";
  for (int i = 0; i < 50; ++i)
    yaml += "  - {name: p" + std::to_string(i) + ", path: a, timeout: x}\n";
  EXPECT_GE(read_text(yaml, "t", "", {}).problems.size(), 50U);
  for (int i = 0; i < 5'000; ++i) yaml += "  - {bad: p}\n";
  const ReadResult result = read_text(yaml, "t", "", {});
  EXPECT_LT(result.problems.size(), 300U);
  EXPECT_THAT(messages(result), HasSubstr("too many problems"));
}

TEST(Reader, HugeInputIsRefusedQuickly) {
  EXPECT_THAT(messages(read_text(std::string(std::size_t{9} << 20U, 'a'), "t", "", {})),
              HasSubstr("larger than 8 MiB"));
  std::string many = "x-a: [";
  for (int i = 0; i < 300'000; ++i) many += "1,";
  EXPECT_THAT(messages(read_text(many + "1]\n", "t", "", {})),
              HasSubstr("more than 200000 values"));
  std::string keys;
  for (int i = 0; i < 20'000; ++i) keys += "k: " + std::to_string(i) + "\n";
  EXPECT_FALSE(read_text(keys, "t", "", {}).ok());
}

TEST(Folders, FilesMergeInTheOrderOfTheirNames) {
  const Folder folder;
  folder.write("20-more.yml", "plugins: [{name: b, path: b.wasm}]\nlogging: {format: text}\n");
  folder.write("10-base.yaml",
               "plugins: [{name: a, path: a.wasm}]\nlogging: {level: debug}\nworkers: 2\n");
  folder.write("30-same.yaml", "workers: 2\n");
  folder.write("notes.txt", "not: [yaml\n");
  folder.write(".hidden.yaml", "not: [yaml\n");
  const ReadResult result = read(folder.path(), {});
  ASSERT_TRUE(result.ok()) << messages(result);
  EXPECT_EQ(result.config->plugins[0].name, "a");
  EXPECT_EQ(result.config->plugins[1].name, "b");
  EXPECT_EQ(result.config->plugins[1].path, folder.path() + "/b.wasm");
  EXPECT_EQ(result.config->plugins[1].location.file, folder.path() + "/20-more.yml");
  EXPECT_EQ(result.config->logging.level, LogLevel::kDebug);
  EXPECT_EQ(result.config->logging.format, "text");
  EXPECT_EQ(result.config->files.size(), 3U);
}

TEST(Folders, ConflictsNameBothFiles) {
  const Folder folder;
  folder.write("a.yaml", "workers: 1\nadmin: {address: \":1\"}\n");
  folder.write("b.yaml", "workers: 2\nadmin: off\n");
  const std::string text = messages(read(folder.path(), {}));
  EXPECT_THAT(text, HasSubstr("b.yaml:1:10: error: workers: is given twice, also at " +
                              folder.path() + "/a.yaml:1:10"));
  EXPECT_THAT(text, HasSubstr("b.yaml:2:8: error: admin: is given twice"));
}

TEST(Folders, MissingAndEmptyAreErrors) {
  const Folder folder;
  EXPECT_THAT(messages(read(folder.path(), {})), HasSubstr("has no *.yaml file"));
  EXPECT_THAT(messages(read(folder.path() + "/none.yaml", {})), HasSubstr("no such file"));
}

TEST(Folders, AFileIsReadFromItsOwnFolder) {
  const Folder folder;
  folder.write("heddle.yaml", "plugins: [{name: a, path: a.wasm}]\n");
  const ReadResult result = read(folder.path() + "/heddle.yaml", {});
  ASSERT_TRUE(result.ok()) << messages(result);
  EXPECT_EQ(result.config->plugins[0].path, folder.path() + "/a.wasm");
}

TEST(Effective, SecretsAreRedacted) {
  const auto config = read_ok(R"(
admin: {auth: {enabled: true, users: {ann: "$argon2id$v=19$m=65536,t=3,p=1$c2FsdA$aGFzaA"}}}
plugins:
  - name: a
    path: a.wasm
    config: {ApiToken: t0ps3cret, list: [{password: hunter2, plain: shown}]}
    environment: {HOME: t0ps3cret}
  - {name: b, path: b.wasm, config: 'token=t0ps3cret'}
  - {name: c, path: c.wasm, config: '{"secret": "t0ps3cret", "x": "$${y}"}', vm_config: {key: t0ps3cret}}
  - {name: d, path: d.wasm, config: "api_key: t0ps3cret", vm_config: ' {"api_key": "t0ps3cret"}'}
  - {name: e, path: e.wasm, config: {Passwd: t0ps3cret}, smoke: [{headers: {x-api-key: t0ps3cret}}]}
  - {name: f, path: f.wasm, config: "the monkey is free"}
request_headers: {set: {Authorization: Bearer t0ps3cret, x-plain: seen}, add: {Cookie: t0ps3cret}}
upstreams: [{name: echo, builtin: echo}]
routes: [{upstream: echo, headers: {x-auth-token: t0ps3cret}, query_params: {key: t0ps3cret}}]
)");
  const std::string& text = config->effective_yaml;
  EXPECT_THAT(text, testing::Not(HasSubstr("t0ps3cret")));
  EXPECT_THAT(text, testing::Not(HasSubstr("hunter2")));
  EXPECT_THAT(text, testing::Not(HasSubstr("argon2")));
  EXPECT_THAT(
      text, HasSubstr(R"(config: {"ApiToken":"***","list":[{"password":"***","plain":"shown"}]})"));
  EXPECT_THAT(text, HasSubstr(R"("x":"$${y}")"));
  EXPECT_THAT(text, HasSubstr(R"(users: {ann: "***"})"));
  EXPECT_THAT(text, HasSubstr("x-plain: seen"));
  EXPECT_THAT(text, HasSubstr("the monkey is free"));
}

TEST(Problems, HideWhatVariablesStandFor) {
  setenv("HEDDLE_HIDDEN", "t0ps3cret-value", 1);
  for (const char* text :
       {"workers: ${HEDDLE_HIDDEN}\n", "upstreams: [{name: e, builtin: \"x${HEDDLE_HIDDEN}\"}]\n",
        ("upstreams: [{name: \"${HEDDLE_HIDDEN}\", builtin: echo}]\n"
         "routes: [{upstream: t0ps3cret-valua}]\n"),
        "listeners: [{address: \"${HEDDLE_HIDDEN}:1\"}, {address: \"${HEDDLE_HIDDEN}:1\"}]\n",
        "plugins: [{name: a, path: a, config: {a: .inf, b: \"${HEDDLE_HIDDEN}\"}}]\n"}) {
    const ReadResult shown = read_text(text, "request", "", {});
    const ReadResult hidden = read_text(text, "request", "", {.hide_variables = true});
    ASSERT_FALSE(hidden.ok()) << text;
    EXPECT_EQ(hidden.problems.size(), shown.problems.size()) << text;
    for (const Problem& problem : hidden.problems) {
      EXPECT_THAT(to_string(problem), testing::Not(HasSubstr("t0ps3cret-value"))) << text;
    }
  }
  unsetenv("HEDDLE_HIDDEN");
  const ReadResult plain = read_text("workers: many\nlogging: {file: \"${HOME}\"}\n", "request", "",
                                     {.hide_variables = true});
  EXPECT_THAT(to_string(plain.problems.front()), HasSubstr("\"many\""));
}

TEST(Effective, ReadsBackAsTheSameConfiguration) {
  const auto config = read_ok(R"(
listeners: [{name: "1", address: ":0"}, {name: "true", address: ":0", limits: {idle_timeout: 1m30s}}]
upstreams: [{name: e, builtin: echo}, {name: f, endpoints: ["a:1", {address: "b:2", weight: 2}]}]
routes: [{upstream: e, headers: {x: "$${HOME} \"q\"", y: "*"}, methods: [GET]}]
plugins: [{name: a, path: a, phase: on_log, config: {a: [1, "2"]}, smoke: [{expect: {status: 200}}, {body: "a\nb"}]}]
logging: {level: warning}
engine: {cache_dir: ""}
)");
  const auto again = read_ok(config->effective_yaml);
  EXPECT_EQ(again->effective_yaml, config->effective_yaml);
  EXPECT_EQ(again->plugins[0].configuration, R"({"a":[1,"2"]})");
  EXPECT_EQ(again->plugins[0].smoke[1].body, "a\nb");
  EXPECT_EQ(again->routes[0].headers[0].value, "${HOME} \"q\"");
  EXPECT_EQ(again->logging.level, LogLevel::kWarn);
}

}  // namespace
}  // namespace heddle::config
