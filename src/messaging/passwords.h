// Password hashing with Argon2id on threads of its own, because one hash takes tens of milliseconds
// and tens of megabytes: neither workers nor disk access wait for it, and not more of them run at
// once than there are threads.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "messaging/storage.h"
#include "net/blocking_pool.h"

namespace heddle::messaging {

class Passwords {
 public:
  // `memory` in bytes and `operations`: as crypto_pwhash of libsodium takes them.
  Passwords(std::size_t memory, std::uint64_t operations);

  // Answers on another thread. kUnavailable when too many wait.
  void hash(std::string password, Reply<std::string> done);
  // An empty `hash` is that of nobody: it takes as long, and never fits.
  void verify(std::string hash, std::string password, Reply<bool> done);

 private:
  bool enter();
  Result<std::string> make(const std::string& password) const;

  const std::size_t memory_;
  const std::uint64_t operations_;
  std::string nobody_;
  std::atomic<std::size_t> waiting_ = 0;
  net::BlockingPool pool_;
};

}  // namespace heddle::messaging
