// Heddle's side of the comparison with Extism (extism/): calls the plugin argv[1] through libheddle
// as standard input says, a line `COUNT CASE PARAMS` each, and prints a line when it is done.
// Cases: fresh (an instance a call), reused (a session).
#include <heddle/host.h>

#include <iostream>
#include <sstream>
#include <string>

namespace {

template <typename Call>
bool repeat(long count, const std::string& params, const Call& call) {
  for (long i = 0; i < count; ++i) {
    const heddle::Result<std::string> answer = call();
    if (answer && *answer == params) continue;
    std::cerr << (answer ? "the answer is not what was sent" : answer.error().message) << '\n';
    return false;
  }
  return true;
}

bool serve(const heddle::Plugin& plugin, const heddle::Session& session) {
  std::cout << "ready" << std::endl;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    long count = 0;
    std::string name;
    std::string params;
    words >> count >> name >> std::ws;
    std::getline(words, params);
    const bool good = name == "reused"
                          ? repeat(count, params, [&] { return session.call_text("echo", params); })
                          : repeat(count, params, [&] { return plugin.call_text("echo", params); });
    if (!good) return false;
    std::cout << "done" << std::endl;
  }
  return true;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 2) return 2;
  const auto host = heddle::Host::create({.max_instances = 16});
  const auto plugin = host ? host->load_file(arguments[1]) : std::unexpected(host.error());
  const auto session = plugin ? plugin->open_session() : std::unexpected(plugin.error());
  if (!session) {
    std::cerr << session.error().message << '\n';
    return 1;
  }
  return serve(*plugin, *session) ? 0 : 1;
}
