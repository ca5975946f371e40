#include "services/login_guard.h"

#include <arpa/inet.h>

#include <algorithm>

namespace heddle::services {
namespace {

constexpr std::array<std::uint32_t, 3> kTimes = {1, 4, 20};  // as keys_of()

std::string network_of(const std::string& address) {
  in6_addr numbers{};
  if (inet_pton(AF_INET6, address.c_str(), &numbers) != 1) return address;
  return {reinterpret_cast<const char*>(&numbers), 8};
}

}  // namespace

LoginGuard::Keys LoginGuard::keys_of(const std::string& username, const std::string& address) {
  // The first byte keeps the three apart, whatever the names are.
  const std::string network = network_of(address);
  return {'b' + network + '\0' + username, 'a' + network, 'u' + username};
}

Nanoseconds LoginGuard::longest_lock(const Keys& keys, Nanoseconds now) const {
  Nanoseconds out = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto found = counts_.find(keys.at(i));
    if (found == counts_.end() || found->second.attempts < failures_ * kTimes.at(i)) continue;
    out = std::max(out, found->second.until - now);
  }
  return out;
}

std::chrono::nanoseconds LoginGuard::locked(const std::string& username, const std::string& address,
                                            Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  return std::chrono::nanoseconds(longest_lock(keys_of(username, address), now));
}

std::chrono::nanoseconds LoginGuard::begin(const std::string& username, const std::string& address,
                                           Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxKeys) {
    std::erase_if(counts_, [now](const auto& entry) { return entry.second.until <= now; });
    if (counts_.size() >= kMaxKeys) counts_.clear();
  }
  const Keys keys = keys_of(username, address);
  if (const Nanoseconds locked = longest_lock(keys, now); locked > 0) {
    return std::chrono::nanoseconds(locked);
  }
  for (const std::string& key : keys) {
    Count& count = counts_[key];
    if (count.until <= now) count = {};
    ++count.attempts;
    count.until = now + lockout_.count();
  }
  return {};
}

void LoginGuard::succeeded(const std::string& username, const std::string& address) {
  if (failures_ == 0) return;
  const std::lock_guard lock(mutex_);
  const auto keys = keys_of(username, address);
  counts_.erase(keys[0]);
  // Of the sums only this attempt is taken back: a success must not hide guesses at other accounts.
  for (std::size_t i = 1; i < keys.size(); ++i) {
    const auto found = counts_.find(keys.at(i));
    if (found != counts_.end() && found->second.attempts > 0) --found->second.attempts;
  }
}

}  // namespace heddle::services
