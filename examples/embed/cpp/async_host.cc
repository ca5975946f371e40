// A host whose methods take their time: a coroutine that asks another plugin, and an answer from
// another thread. No thread waits for either.
//
//   async_host PLUGIN      calls `ask` of examples/json_rpc/rust_pdk, which passes on to the host
#include <heddle/host.h>

#include <chrono>
#include <future>
#include <iostream>
#include <thread>

int main(int argc, char** argv) {
  auto host = heddle::Host::create({.threads = 2});
  if (!host || argc < 2) return 2;
  const auto greeter = host->load_file(argv[1], {.name = "greeter"});
  if (!greeter) return 1;

  host->add_method("greeting", [greeter](heddle::Json) -> heddle::Task<heddle::Json> {
    auto hello = co_await greeter->call_async("hello");
    if (!hello) co_return std::unexpected(hello.error());
    co_return (*hello)["message"];
  });
  host->add_method("later", [](const heddle::Json& params, const heddle::Reply& reply) {
    std::thread([params, reply] {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      reply.send(params);
    }).detach();
  });

  const auto plugin = host->load_file(argv[1], {.timeout = std::chrono::seconds(2)});
  if (!plugin) return 1;
  for (const char* method : {"greeting", "later"}) {
    std::promise<heddle::Result<heddle::Json>> done;
    plugin->call("ask", heddle::Json::object({{"method", method}, {"params", 42}}),
                 [&](heddle::Result<heddle::Json> answer) { done.set_value(std::move(answer)); });
    const auto answer = done.get_future().get();
    std::cout << method << ": " << (answer ? answer->dump() : answer.error().message) << '\n';
  }
}
