// The basic host of the wasmi plugin framework: offers "echo" to its plugin, and calls "hello".
#include <heddle/host.h>

#include <iostream>

int main(int argc, char** argv) {
  auto host = heddle::Host::create();
  if (!host || argc < 2) return 2;
  host->add_method("echo", [](const heddle::Json&) { return "echo"; });

  auto plugin = host->load_file(argv[1]);
  if (!plugin) {
    std::cerr << plugin.error().message << '\n';
    return 1;
  }
  heddle::Result<heddle::Json> answer = plugin->call(argc > 2 ? argv[2] : "hello");
  std::cout << (answer ? answer->dump() : answer.error().message) << '\n';
  return answer ? 0 : 1;
}
