// The imports of route plugins (module `env`), both dialects: the seed's, and the current Orbis
// SDK's, told apart by the import's declared type (reference/origins.md, section 3.a). A new one is
// a function and a row in host_functions.cc.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/instance.h"

namespace heddle::net {
class Worker;
}

namespace heddle::route {

class GuestPlacement;
class Runtime;

// What host functions reach by Instance::user<HostContext>().
struct HostContext {
  Runtime* runtime = nullptr;
  net::Worker* worker = nullptr;
  GuestPlacement* placement = nullptr;
  std::string request_id;                // empty: no request (init, cleanup, execute)
  std::chrono::milliseconds timeout{0};  // wall, of the job; calls of services may last as long
};

// The rows for what this module imports: of the functions of a name, the one of the import's type.
std::vector<sandbox::HostFunction> host_functions(const sandbox::Module& module);

bool offers_host_function(std::string_view module, std::string_view name);

}  // namespace heddle::route
