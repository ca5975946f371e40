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

std::array<std::string, 3> LoginGuard::keys_of(const std::string& username,
                                               const std::string& address) {
  // The first byte keeps the three apart, whatever the names are.
  const std::string network = network_of(address);
  return {'b' + network + '\0' + username, 'a' + network, 'u' + username};
}

LoginGuard::Admission LoginGuard::begin(const std::string& username, const std::string& address,
                                        Nanoseconds now) {
  if (failures_ == 0) return {};
  const std::lock_guard lock(mutex_);
  if (counts_.size() >= kMaxKeys) {
    std::erase_if(counts_, [now](const auto& entry) { return entry.second.idle(now); });
    if (counts_.size() >= kMaxKeys) counts_.clear();
  }
  const auto keys = keys_of(username, address);
  Nanoseconds locked = 0;
  bool busy = false;
  for (std::size_t i = 0; i < keys.size(); ++i) {
    Count& count = counts_[keys.at(i)];
    if (count.until <= now) count.failed = 0;
    const std::uint32_t limit = failures_ * kTimes.at(i);
    if (count.failed >= limit) locked = std::max(locked, count.until - now);
    busy |= count.failed + count.under_way >= limit;
  }
  if (locked > 0) return {.wait = std::chrono::nanoseconds(locked), .locked = true};
  if (busy) return {.wait = kBusy};
  for (const std::string& key : keys) ++counts_[key].under_way;
  return {};
}

void LoginGuard::end(const std::string& username, const std::string& address, End how,
                     Nanoseconds now) {
  if (failures_ == 0) return;
  const std::lock_guard lock(mutex_);
  const auto keys = keys_of(username, address);
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
