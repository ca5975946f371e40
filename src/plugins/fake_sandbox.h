// Test support: an engine and a contract that need no Wasm. A "module" is a text file; each line is
// `export NAME`, `import MODULE.NAME`, `fail TEXT` (the contract refuses to load it) or anything
// else (content that makes files differ).
#pragma once

#include <fmt/format.h>

#include <atomic>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "extension/plugin_contract.h"
#include "plugins/loader.h"
#include "sandbox/engine.h"
#include "sandbox/module.h"

namespace heddle::plugins::testing {

class FakeModule final : public sandbox::Module {
 public:
  FakeModule(std::string name, std::string text) : name_(std::move(name)), size_(text.size()) {
    sha256_ = sha256_hex(std::as_bytes(std::span(text)));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("export ")) {
        exports_.push_back({line.substr(7), sandbox::ExternKind::kFunction, {}});
      } else if (line.starts_with("import ")) {
        const std::size_t dot = line.find('.');
        imports_.push_back(
            {line.substr(7, dot - 7), line.substr(dot + 1), sandbox::ExternKind::kFunction, {}});
      } else if (line.starts_with("fail ")) {
        failure = line.substr(5);
      }
    }
  }

  const std::string& name() const override { return name_; }
  std::span<const sandbox::Import> imports() const override { return imports_; }
  std::span<const sandbox::Export> exports() const override { return exports_; }
  std::span<const sandbox::CustomSection> custom_sections() const override { return sections_; }
  std::optional<std::string_view> custom_section(std::string_view) const override { return {}; }
  std::uint64_t initial_memory_bytes() const override { return 65'536; }
  std::optional<std::uint64_t> maximum_memory_bytes() const override { return {}; }
  std::size_t size() const override { return size_; }
  const std::string& sha256() const override { return sha256_; }
  bool from_cache() const override { return false; }

  std::string failure;

 private:
  std::string name_;
  std::size_t size_;
  std::string sha256_;
  std::vector<sandbox::Import> imports_;
  std::vector<sandbox::Export> exports_;
  std::vector<sandbox::CustomSection> sections_{{"producers", 12}};
};

class FakeEngine final : public sandbox::Engine {
 public:
  Result<std::shared_ptr<const sandbox::Module>> compile(std::span<const std::byte> bytes,
                                                         std::string_view name) override {
    ++compiled;
    std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (!text.starts_with("module")) {
      return fail(ErrorKind::kInvalidArgument, fmt::format("{}: not a WebAssembly module", name));
    }
    return std::make_shared<const FakeModule>(std::string(name), std::move(text));
  }

  int compiled = 0;
};

// A filter that every exchange passes by.
class FakePlugin final : public extension::LoadedPlugin,
                         public extension::HttpFilterFactory,
                         public std::enable_shared_from_this<FakePlugin> {
 public:
  explicit FakePlugin(extension::PluginSpec s) : spec(std::move(s)) { ++alive(); }
  ~FakePlugin() override { --alive(); }
  FakePlugin(const FakePlugin&) = delete;
  FakePlugin& operator=(const FakePlugin&) = delete;

  static std::atomic<int>& alive() {
    static std::atomic<int> count{0};
    return count;
  }
  std::string_view kind() const override { return "fake"; }
  Result<void> start(net::Worker&) override { return {}; }
  void stop(net::Worker&) override {}
  std::shared_ptr<extension::HttpFilterFactory> http_filter() override {
    return shared_from_this();
  }
  const std::string& name() const override { return spec.name; }
  extension::FilterInterest interest() const override { return {}; }
  std::size_t buffer_limit() const override { return 0; }
  std::unique_ptr<extension::HttpFilter> create(extension::FilterHost&) override { return nullptr; }
  extension::PluginStats stats() const override {
    return {.calls = 7,
            .errors = 1,
            .exchanges = 3,
            .cpu_seconds = 0.5,
            .average_call_us = 2.5,
            .memory_bytes = 65'536,
            .instances = 2,
            .limit_hits = 4,
            .last_error = "trapped once"};
  }

  extension::PluginSpec spec;
};

// Knows modules that export "fake"; offers the imports of module "env".
class FakeContract final : public extension::PluginContract {
 public:
  std::string_view kind() const override { return "fake"; }
  bool recognises(const sandbox::Module& module) const override {
    for (const sandbox::Export& item : module.exports()) {
      if (item.name == "fake") return true;
    }
    return false;
  }
  Result<std::shared_ptr<extension::LoadedPlugin>> load(
      const extension::PluginSpec& spec, std::shared_ptr<const sandbox::Module> module) override {
    const auto& fake = dynamic_cast<const FakeModule&>(*module);
    if (!fake.failure.empty()) return fail(ErrorKind::kNotFound, fake.failure);
    return std::make_shared<FakePlugin>(spec);
  }
  bool offers_import(std::string_view module, std::string_view) const override {
    return module == "env";
  }
};

}  // namespace heddle::plugins::testing
