// A function for plugins that reloads and stops the server which runs it:
//
//   inside_host heddle.yaml      ends after the first call; standard output says what came of it
#include <heddle/server.h>

#include <future>
#include <iostream>
#include <latch>
#include <optional>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  std::optional<heddle::Server> server;
  std::latch started_here(1);
  std::promise<std::string> refused;
  heddle::ServerOptions options;
  options.foreign_functions["greet"] = {
      .id = 7, .function = [&](const heddle::ForeignCall&) -> heddle::Result<std::string> {
        started_here.wait();
        const auto reloaded = server->reload();
        server->stop();
        refused.set_value(reloaded ? "reloaded" : reloaded.error().message);
        return "";
      }};
  const auto started = heddle::Server::start(argv[1], std::move(options));
  if (!started) return 1;
  server = *started;
  started_here.count_down();
  std::cout << refused.get_future().get() << std::endl;
  server->stop();
  std::cout << "stopped" << std::endl;
}
