#include "gateway/upstream_balancer.h"

#include <algorithm>

#include "base/clock.h"
#include "gateway/upstream_maglev.h"

namespace heddle::gateway {
namespace {

// Places looked at for a usable endpoint before the rest of the keys goes in turn.
constexpr int kHashTries = 64;

std::string_view cookie(const http::HeaderMap& headers, std::string_view name) {
  for (const http::HeaderMap::Entry& entry : headers) {
    if (entry.name != "cookie") continue;
    std::string_view rest = entry.value;
    while (!rest.empty()) {
      const std::size_t end = rest.find(';');
      const std::string_view pair = http::trim(rest.substr(0, end));
      const std::size_t equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == name) {
        return pair.substr(equals + 1);
      }
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
  }
  return {};
}

}  // namespace

Balancing parse_balancing(std::string_view name) {
  if (name == "weighted") return Balancing::kWeighted;
  if (name == "least_conn") return Balancing::kLeast;
  if (name == "random") return Balancing::kRandom;
  if (name == "consistent_hash") return Balancing::kHash;
  return Balancing::kRoundRobin;
}

HashKey::HashKey(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return;
  kind_ = text.starts_with("cookie:") ? Kind::kCookie : Kind::kHeader;
  name_ = text.substr(colon + 1);
}

std::uint64_t HashKey::of(const http::HeaderMap& headers, std::string_view source) const {
  std::string_view value = source;
  if (kind_ == Kind::kHeader) value = headers.get(name_).value_or("");
  if (kind_ == Kind::kCookie) value = cookie(headers, name_);
  if (value.empty()) return 0;
  return std::max<std::uint64_t>(hash_bytes(value), 1);
}

Balancer::Balancer(Balancing balancing, std::uint32_t panic_threshold, std::size_t worker)
    : balancing_(balancing),
      panic_threshold_(panic_threshold),
      next_(worker),
      random_(mix(static_cast<std::uint64_t>(monotonic_now()) + worker)) {}

void Balancer::update(const EndpointSet& set) {
  set_ = &set;
  const std::size_t total = set.entries.size();
  usable_.clear();
  is_usable_.assign(total, 0);
  for (std::uint32_t i = 0; i < total; ++i) {
    if (!set.entries[i].state->usable()) continue;
    usable_.push_back(i);
    is_usable_[i] = 1;
  }
  panic_ = usable_.size() < total && usable_.size() * 100 < total * panic_threshold_;
  if (panic_) {
    usable_.clear();
    for (std::uint32_t i = 0; i < total; ++i) usable_.push_back(i);
    is_usable_.assign(total, 1);
  }
  turns_.clear();
  if (balancing_ != Balancing::kWeighted) return;
  for (const std::uint32_t entry : usable_) {
    turns_.push_back({1.0 / set.entries[entry].weight, entry});
  }
  std::ranges::make_heap(turns_, std::ranges::greater(), &Turn::due);
  for (std::size_t i = 0; !turns_.empty() && i < next_ % total; ++i) by_weight();
}

std::size_t Balancer::pick(std::uint64_t hash, Tried tried) {
  if (usable_.empty()) return kNone;
  if (tried.empty()) return choose(hash);
  if (hashes() && hash != 0) {
    for (int i = 0; i < kHashTries; ++i, hash = mix(hash + 1)) {
      const std::size_t other = by_hash(hash);
      if (!is_tried(other, tried)) return other;
    }
  }
  // A second try takes nobody's turn, and goes to any other alike.
  const std::size_t start = random() % usable_.size();
  for (std::size_t i = 0; i < usable_.size(); ++i) {
    const std::size_t other = usable_[(start + i) % usable_.size()];
    if (!is_tried(other, tried)) return other;
  }
  return choose(hash);
}

bool Balancer::has_other(Tried tried) const {
  return std::ranges::any_of(usable_, [&](std::uint32_t entry) { return !is_tried(entry, tried); });
}

std::size_t Balancer::choose(std::uint64_t hash) {
  if (usable_.size() == 1) return usable_.front();
  switch (balancing_) {
    case Balancing::kRoundRobin:
      return in_turn();
    case Balancing::kWeighted:
      return by_weight();
    case Balancing::kLeast:
      return least();
    case Balancing::kRandom:
      return better_of_two();
    case Balancing::kHash:
      return hash == 0 ? usable_[random() % usable_.size()] : by_hash(hash);
  }
  return in_turn();
}

std::size_t Balancer::in_turn() {
  if (next_ >= usable_.size()) next_ %= usable_.size();
  return usable_[next_++];
}

// Earliest deadline first: an endpoint's next turn comes after a time that its weight divides.
std::size_t Balancer::by_weight() {
  std::ranges::pop_heap(turns_, std::ranges::greater(), &Turn::due);
  Turn& turn = turns_.back();
  const std::uint32_t entry = turn.entry;
  turn.due += 1.0 / set_->entries[entry].weight;
  std::ranges::push_heap(turns_, std::ranges::greater(), &Turn::due);
  return entry;
}

// Of several that are equal another one each time.
std::size_t Balancer::least() {
  const std::size_t count = usable_.size();
  if (++next_ >= count) next_ %= count;
  std::size_t best = usable_[next_];
  for (std::size_t i = 1; i < count; ++i) {
    const std::size_t place = next_ + i < count ? next_ + i : next_ + i - count;
    if (less_loaded(usable_[place], best)) best = usable_[place];
  }
  return best;
}

std::size_t Balancer::better_of_two() {
  const std::uint64_t number = random();
  const std::size_t count = usable_.size();
  const std::size_t first = (number & 0xFFFFFFFFU) % count;
  std::size_t second = (number >> 32U) % (count - 1);
  if (second >= first) ++second;
  return less_loaded(usable_[second], usable_[first]) ? usable_[second] : usable_[first];
}

// An endpoint that is not usable keeps its places; its keys, and no others, go elsewhere meanwhile.
std::size_t Balancer::by_hash(std::uint64_t hash) {
  if (set_->table.empty()) return in_turn();
  for (int i = 0; i < kHashTries; ++i) {
    const std::size_t entry = set_->table[hash % set_->table.size()];
    if (is_usable_[entry] != 0) return entry;
    hash = mix(hash + 1);
  }
  return usable_[hash % usable_.size()];
}

bool Balancer::is_tried(std::size_t entry, Tried tried) const {
  return std::ranges::find(tried, set_->entries[entry].state.get()) != tried.end();
}

bool Balancer::less_loaded(std::size_t a, std::size_t b) const {
  const EndpointEntry& left = set_->entries[a];
  const EndpointEntry& right = set_->entries[b];
  const auto load = [](const EndpointEntry& entry) {
    return std::uint64_t{entry.state->load.requests.load(std::memory_order_relaxed)};
  };
  return load(left) * right.weight < load(right) * left.weight;
}

std::uint64_t Balancer::random() {
  random_ += 0x9E3779B97F4A7C15U;
  return mix(random_);
}

}  // namespace heddle::gateway
