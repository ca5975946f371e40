// Names to addresses: getaddrinfo on the blocking pool, with a short cache per worker. Numeric
// addresses need neither.
//
// Worker thread only. The blocking pool is stopped before the workers are destroyed (its tasks post
// to them).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/address.h"

namespace heddle::net {

class BlockingPool;
class Worker;

class Resolver {
 public:
  using Addresses =
      std::vector<SocketAddress>;  // at least one, in the order to try; with the port asked for
  using Callback = std::move_only_function<void(const Result<Addresses>&)>;
  using Lookup = std::function<Result<Addresses>(const std::string& host)>;

  static Result<Addresses> system_lookup(const std::string& host);  // getaddrinfo; blocks

  static constexpr std::chrono::seconds kPositiveTtl{5};
  static constexpr std::chrono::seconds kNegativeTtl{1};

  Resolver(Worker& worker, BlockingPool& blocking);
  Resolver(Worker& worker, BlockingPool& blocking,
           Lookup lookup);  // another source of names, for tests
  ~Resolver();              // callbacks still waiting are dropped
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Calls back at once (from within) for a numeric or cached name, else as an event of its own.
  // Callers that may be gone by then capture a weak pointer.
  void resolve(const std::string& host, std::uint16_t port, Callback callback);
  // The same without what the cache holds of a name.
  void resolve_anew(const std::string& host, std::uint16_t port, Callback callback);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace heddle::net
