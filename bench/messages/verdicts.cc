// What the verdict of one plugin costs: asks the hook of the plugin argv[1] (a Wasm module or a
// shared object; argv[2]: its isolation) as standard input says, a line with a count each, and
// prints a line when it is done. One call at a time, through the chain that the service uses.
#include <future>
#include <iostream>
#include <string>
#include <vector>

#include "../plugin_host.h"
#include "contracts/message_hook/contract.h"
#include "contracts/native_hook/child_main.h"
#include "contracts/native_hook/child_memory.h"
#include "contracts/native_hook/contract.h"
#include "extension/message_hook_chain.h"

namespace heddle {
namespace {

using extension::HookMoment;
using extension::MessageEvent;
using extension::Verdict;

extension::PluginSpec spec_of(const std::string& file, const std::string& isolation) {
  extension::PluginSpec spec;
  spec.name = "bench";
  spec.path = file;
  spec.isolation = isolation;
  spec.timeout = std::chrono::milliseconds(100);
  spec.memory_limit = std::size_t{64} << 20U;
  spec.buffer_limit = std::size_t{1} << 20U;
  spec.log_lines_per_second = 100;
  spec.log_line_bytes = 4'096;
  spec.host_calls = 1'000;
  return spec;
}

class Asker {
 public:
  Asker(net::Worker& worker, std::shared_ptr<extension::MessageHook> hook)
      : worker_(worker),
        moment_(hook->wants(HookMoment::kSend) ? HookMoment::kSend : HookMoment::kEnqueue),
        chain_(std::make_shared<const extension::HookChain>(
            std::vector<std::shared_ptr<extension::MessageHook>>{std::move(hook)})) {}

  // Whether all were allowed.
  bool run(int count) {
    std::promise<bool> done;
    left_ = count;
    allowed_ = true;
    worker_.post([&] { next(done); });
    return done.get_future().get();
  }

 private:
  // Asks until a verdict is not there at once; that one goes on with the next.
  void next(std::promise<bool>& done) {
    while (left_ > 0) {
      --left_;
      begin_event();
      asking_ = true;
      answered_ = false;
      chain_->ask(moment_, worker_, event_, [this, &done](const Verdict& verdict) {
        allowed_ = allowed_ && verdict.allowed;
        answered_ = true;
        if (!asking_) next(done);
      });
      asking_ = false;
      if (!answered_) return;
    }
    done.set_value(allowed_);
  }

  // A message of 100 bytes.
  void begin_event() {
    event_ = {};
    event_.sender_identity = sender_;
    event_.recipient_key = recipient_;
    event_.channel_id = channel_;
    event_.payload_size = text_.size();
    event_.text = text_;
    event_.session_id = 3;
    event_.sender_id = 4;
  }

  net::Worker& worker_;
  HookMoment moment_;
  std::shared_ptr<const extension::HookChain> chain_;
  std::string sender_ = std::string(32, 's');
  std::string recipient_ = std::string(32, 'r');
  std::string channel_ = std::string(16, 'c');
  std::string text_ = std::string(100, 't');
  MessageEvent event_;
  int left_ = 0;
  bool allowed_ = true;
  bool asking_ = false;    // the chain has not returned yet
  bool answered_ = false;  // the message that was asked last
};

int serve(Asker& asker) {
  std::cout << "ready" << std::endl;
  for (int count = 0; std::cin >> count;) {
    if (!asker.run(count)) return std::cerr << "a message was rejected\n", 1;
    std::cout << "done" << std::endl;
  }
  return 0;
}

Result<std::shared_ptr<extension::LoadedPlugin>> load(extension::PluginContract& messages,
                                                      extension::PluginContract& natives,
                                                      sandbox::Engine& engine,
                                                      const extension::PluginSpec& spec) {
  const std::string bytes = bench::read_file(spec.path);
  const auto file = std::as_bytes(std::span(bytes));
  if (natives.takes_file(file)) return natives.load_file(spec, file);
  auto module = engine.compile(file, spec.path);
  if (!module) return std::unexpected(module.error());
  return (natives.recognises(**module) ? natives : messages).load(spec, *module);
}

int run(const std::string& file, const std::string& isolation) {
  bench::PluginHost host({.instances = 4});
  if (!host.engine) return bench::failed(host.engine.error());
  sandbox::Engine& engine = **host.engine;
  message_hook::Contract messages({.engine = engine, .log = *host.log, .metrics = host.metrics});
  native_hook::Contract natives({.engine = engine, .log = *host.log, .metrics = host.metrics});
  auto plugin = load(messages, natives, engine, spec_of(file, isolation));
  if (!plugin) return bench::failed(plugin.error());
  Asker asker(host.worker, (*plugin)->message_hook());
  return bench::with_worker(host.worker, [&] { return serve(asker); });
}

}  // namespace
}  // namespace heddle

int main(int count, char** arguments) {
  using heddle::native_hook::kChildVerb;
  if (count > 1 && arguments[1] == kChildVerb) {
    return heddle::native_hook::run_child(count, arguments);
  }
  if (count != 3) return std::cerr << "verdicts PLUGIN none|process\n", 2;
  return heddle::run(arguments[1], arguments[2]);
}
