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

std::array<std::string, 3> LoginGuard::keys_of(const std::string& username,
                                               const std::string& address) {
  // The first byte keeps the three apart, whatever the names are.
  const std::string network = network_of(address);
  return {'b' + network + '\0' + username, 'a' + network, 'u' + username};
}

std::chrono::nanoseconds LoginGuard::begin(const std::string& username, const std::string& address,
                                           Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxKeys) {
    std::erase_if(counts_, [now](const auto& entry) { return entry.second.until <= now; });
    if (counts_.size() >= kMaxKeys) counts_.clear();
  }
  const auto keys = keys_of(username, address);
  Nanoseconds locked = 0;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Count& count = counts_[keys.at(i)];
    if (count.until <= now) count = {};
    if (count.attempts >= failures_ * kTimes.at(i)) locked = std::max(locked, count.until - now);
  }
  if (locked > 0) return std::chrono::nanoseconds(locked);
  for (const std::string& key : keys) {
    Count& count = counts_[key];
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
