#include "net/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <unordered_map>
#include <utility>

#include "base/clock.h"
#include "net/blocking_pool.h"
#include "net/worker.h"

namespace heddle::net {

Result<Resolver::Addresses> Resolver::system_lookup(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return fail(ErrorKind::kUnavailable,
                "host " + host + " cannot be resolved: " + gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  Resolver::Addresses out;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    out.emplace_back(entry->ai_addr, entry->ai_addrlen);
  }
  return out;
}

struct Resolver::State {
  // Names come from the configuration and from plugins' calls; more than this many at once are not
  // worth keeping.
  static constexpr std::size_t kMaxEntries = 1024;

  struct Entry {
    Result<Addresses> result = fail(ErrorKind::kUnavailable, "");
    Nanoseconds expires = 0;
    bool pending = false;
    std::vector<std::pair<std::uint16_t, Callback>> waiting;
  };

  void finish(const std::string& host, Result<Addresses> result);

  Worker& worker;
  BlockingPool& blocking;
  Lookup lookup;
  std::unordered_map<std::string, Entry> cache;
};

namespace {

void answer(const Result<Resolver::Addresses>& result, std::uint16_t port,
            Resolver::Callback& callback) {
  if (!result) {
    callback(result);
    return;
  }
  Resolver::Addresses addresses = *result;
  for (SocketAddress& address : addresses) address.set_port(port);
  callback(addresses);
}

}  // namespace

void Resolver::State::finish(const std::string& host, Result<Addresses> result) {
  Entry& entry = cache[host];
  entry.pending = false;
  entry.expires = monotonic_now() + to_nanoseconds(result ? kPositiveTtl : kNegativeTtl);
  entry.result = std::move(result);
  const Result<Addresses> copy = entry.result;  // a callback may change the cache
  auto waiting = std::exchange(entry.waiting, {});
  for (auto& [port, callback] : waiting) answer(copy, port, callback);
}

Resolver::Resolver(Worker& worker, BlockingPool& blocking)
    : Resolver(worker, blocking, system_lookup) {}

Resolver::Resolver(Worker& worker, BlockingPool& blocking, Lookup lookup)
    : state_(std::make_shared<State>(worker, blocking, std::move(lookup))) {}

Resolver::~Resolver() = default;

void Resolver::resolve(const std::string& host, std::uint16_t port, Callback callback) {
  if (auto numeric = SocketAddress::numeric(host, port)) {
    callback(Addresses{*numeric});
    return;
  }
  if (state_->cache.size() >= State::kMaxEntries) {
    std::erase_if(state_->cache, [](const auto& item) { return !item.second.pending; });
  }
  State::Entry& entry = state_->cache[host];
  if (!entry.pending && monotonic_now() < entry.expires) {
    const Result<Addresses> copy = entry.result;
    answer(copy, port, callback);
    return;
  }
  entry.waiting.emplace_back(port, std::move(callback));
  if (std::exchange(entry.pending, true)) return;
  state_->blocking.submit(
      [weak = std::weak_ptr(state_), worker = &state_->worker, lookup = state_->lookup, host] {
        worker->post([weak, host, result = lookup(host)]() mutable {
          if (const auto state = weak.lock()) state->finish(host, std::move(result));
        });
      });
}

void Resolver::resolve_anew(const std::string& host, std::uint16_t port, Callback callback) {
  if (const auto known = state_->cache.find(host); known != state_->cache.end()) {
    known->second.expires = 0;
  }
  resolve(host, port, std::move(callback));
}

}  // namespace heddle::net
