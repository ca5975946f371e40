// Chooses an endpoint for a request. One for each worker and upstream; no locks.
//
// What must be counted over all workers (requests under way, for least_conn and random) stands in
// EndpointState::load; turns and weights are each worker's own, and workers start at different
// places, so that few requests are spread too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/upstream_endpoint.h"
#include "http/header_map.h"

namespace heddle::gateway {

enum class Balancing : std::uint8_t { kRoundRobin, kWeighted, kLeast, kRandom, kHash };
Balancing parse_balancing(std::string_view name);

// What of a request its hash is made of (config `consistent_hash.hash_key`).
class HashKey {
 public:
  explicit HashKey(std::string_view text);
  // 0 when the request does not have it.
  std::uint64_t of(const http::HeaderMap& headers, std::string_view source) const;

 private:
  enum class Kind : std::uint8_t { kSource, kHeader, kCookie };
  Kind kind_ = Kind::kSource;
  std::string name_;
};

class Balancer {
 public:
  // `panic_threshold` as in the configuration.
  Balancer(Balancing balancing, std::uint32_t panic_threshold, std::size_t worker);

  // To be called when the set or the usability of one of its endpoints changed.
  void update(const EndpointSet& set);

  // Index of an entry of the set; kNone when none may be used. Prefers one that was not `tried`.
  // `hash` counts for consistent hashing only; 0 is any endpoint.
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
  std::size_t pick(std::uint64_t hash = 0, std::span<const EndpointState* const> tried = {});
  // Whether pick() would give one that was not tried.
  bool has_other(std::span<const EndpointState* const> tried) const;

  bool hashes() const { return balancing_ == Balancing::kHash; }
  // Whether requests must be counted in EndpointState::load.
  bool compares() const {
    return balancing_ == Balancing::kLeast || balancing_ == Balancing::kRandom;
  }
  bool panic() const { return panic_; }  // too few are usable, so all are used
  std::size_t size() const { return set_ == nullptr ? 0 : set_->entries.size(); }

 private:
  struct Turn {
    double due = 0;
    std::uint32_t entry = 0;
  };
  using Tried = std::span<const EndpointState* const>;

  std::size_t choose(std::uint64_t hash);
  std::size_t in_turn();
  std::size_t by_weight();
  std::size_t least();
  std::size_t better_of_two();
  std::size_t by_hash(std::uint64_t hash);
  bool is_tried(std::size_t entry, Tried tried) const;
  bool less_loaded(std::size_t a, std::size_t b) const;
  std::uint64_t random();

  Balancing balancing_;
  std::uint32_t panic_threshold_;
  const EndpointSet* set_ = nullptr;
  std::vector<std::uint32_t> usable_;    // entries
  std::vector<std::uint8_t> is_usable_;  // for each entry
  std::vector<Turn> turns_;              // a heap, the next on top
  std::size_t next_;
  std::uint64_t random_;
  bool panic_ = false;
};

}  // namespace heddle::gateway
