#include "services/login_guard.h"

#include <arpa/inet.h>

#include <algorithm>

namespace heddle::services {
namespace {

constexpr std::array<std::uint32_t, 3> kTimes = {1, 4, 20};  // as keys_of()
constexpr std::chrono::seconds kBusy{1};

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
    if (found == counts_.end() || found->second.failed < failures_ * kTimes.at(i)) continue;
    out = std::max(out, found->second.until - now);
  }
  return out;
}

LoginGuard::Admission LoginGuard::look(const std::string& username, const std::string& address,
                                       bool passed, Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  const Keys keys = keys_of(username, address);
  if (const Nanoseconds locked = longest_lock(keys, now); locked > 0) {
    return {.wait = std::chrono::nanoseconds(locked), .locked = true};
  }
  if (const auto own = counts_.find(keys[0]); passed && own != counts_.end()) {
    own->second.failed = 0;
  }
  return {};
}

LoginGuard::Admission LoginGuard::begin(const std::string& username, const std::string& address,
                                        Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxKeys) {
    std::erase_if(counts_, [now](const auto& entry) { return entry.second.idle(now); });
    if (counts_.size() >= kMaxKeys) counts_.clear();
  }
  const Keys keys = keys_of(username, address);
  if (const Nanoseconds locked = longest_lock(keys, now); locked > 0) {
    return {.wait = std::chrono::nanoseconds(locked), .locked = true};
  }
  bool busy = false;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Count& count = counts_[keys.at(i)];
    if (count.until <= now) count.failed = 0;
    busy |= count.failed + count.under_way >= failures_ * kTimes.at(i);
  }
  if (busy) return {.wait = kBusy};
  for (const std::string& key : keys) ++counts_[key].under_way;
  return {};
}

void LoginGuard::end(const std::string& username, const std::string& address, End how,
                     Nanoseconds now) {
  if (failures_ == 0) return;
  const std::lock_guard lock(mutex_);
  const Keys keys = keys_of(username, address);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Count& count = counts_[keys.at(i)];
    if (count.under_way > 0) --count.under_way;
    if (how == End::kFailed) {
      ++count.failed;
      count.until = now + lockout_.count();
    } else if (how == End::kSucceeded && i == 0) {
      // Of this account here only: a success must not hide guesses at others.
      count.failed = 0;
    }
    if (count.idle(now)) counts_.erase(keys.at(i));
  }
}

}  // namespace heddle::services
