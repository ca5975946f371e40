// Heddle's side of the comparison with the framework's own host (hdk/): calls the plugin argv[1] as
// standard input says, a line `COUNT METHOD PARAMS` each, and prints a line when it is done.
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <future>
#include <iostream>
#include <sstream>
#include <string>

#include "../plugin_host.h"
#include "contracts/json_rpc/contract.h"
#include "contracts/json_rpc/host_methods.h"

namespace heddle {
namespace {

using json_rpc::HostMethods;
using json_rpc::HostRequest;

void add_methods(HostMethods& methods) {
  methods.add("ping", [](const HostRequest& /*request*/, HostMethods::Reply reply) {
    reply(json_rpc::success("\"pong\""));
    return nullptr;
  });
  methods.add("echo", [](const HostRequest& request, HostMethods::Reply reply) {
    reply(json_rpc::success(boost::json::serialize(request.params)));
    return nullptr;
  });
}

// One call after the other, each begun on the worker when the one before has answered.
class Caller {
 public:
  Caller(net::Worker& worker, std::shared_ptr<extension::RpcTarget> target)
      : worker_(worker), target_(std::move(target)) {}

  bool run(int count, const std::string& method, const std::string& params) {
    std::promise<bool> done;
    left_ = count;
    worker_.post([&] { next(method, params, done); });
    return done.get_future().get();
  }

 private:
  void next(const std::string& method, const std::string& params, std::promise<bool>& done) {
    handle_ = target_->call(worker_, {.method = method, .params = params},
                            [&](const extension::RpcOutcome& outcome) {
                              if (!outcome.ok) {
                                std::cerr << outcome.error.message << outcome.error.data << "\n";
                                return done.set_value(false);
                              }
                              if (--left_ == 0) return done.set_value(true);
                              next(method, params, done);
                            });
  }

  net::Worker& worker_;
  std::shared_ptr<extension::RpcTarget> target_;
  std::unique_ptr<extension::RpcTarget::Handle> handle_;
  int left_ = 0;
};

int serve(Caller& caller) {
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    int count = 0;
    std::string method;
    std::string params;
    words >> count >> method >> std::ws;
    std::getline(words, params);
    if (!caller.run(count, method, params)) return 1;
    std::cout << "done" << std::endl;
  }
  return 0;
}

int run(const std::string& file) {
  bench::PluginHost host({.instances = 1, .suspendable_instances = 8});
  if (!host.engine) return bench::failed(host.engine.error());
  const std::string bytes = bench::read_file(file);
  auto module = (*host.engine)->compile(std::as_bytes(std::span(bytes)), file);
  if (!module) return bench::failed(module.error());
  HostMethods methods;
  add_methods(methods);
  json_rpc::Contract contract(
      {.engine = **host.engine, .log = *host.log, .metrics = host.metrics, .methods = methods});
  extension::PluginSpec spec;
  spec.name = "bench";
  auto plugin = contract.load(spec, *module);
  if (!plugin) return bench::failed(plugin.error());
  Caller caller(host.worker, (*plugin)->rpc_target());
  return bench::with_worker(host.worker, [&] { return serve(caller); });
}

}  // namespace
}  // namespace heddle

int main(int count, char** arguments) {
  if (count != 2) return std::cerr << "calls PLUGIN.wasm\n", 2;
  return heddle::run(arguments[1]);
}
