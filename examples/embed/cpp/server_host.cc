// The whole server within a program, which adds a function for its Proxy-Wasm plugins:
//
//   server_host heddle.yaml      serves until SIGTERM or Ctrl-C; SIGHUP reloads the configuration
#include <heddle/server.h>

#include <csignal>
#include <iostream>
#include <string>

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&awaited, signal);
  pthread_sigmask(SIG_BLOCK, &awaited, nullptr);

  heddle::ServerOptions options;
  options.foreign_functions["greet"] = {
      .id = 7, .function = [](const heddle::ForeignCall& call) -> heddle::Result<std::string> {
        return "hello, " + std::string(call.arguments);
      }};
  const auto server = heddle::Server::start(argv[1], std::move(options));
  if (!server) {
    std::cerr << server.error().message << '\n';
    return 1;
  }
  for (int signal = 0; sigwait(&awaited, &signal) == 0 && signal == SIGHUP;) {
    if (const auto reloaded = server->reload(); !reloaded)
      std::cerr << reloaded.error().message << '\n';
  }
  server->stop();
}
