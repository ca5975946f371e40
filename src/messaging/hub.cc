#include "messaging/hub.h"

#include <algorithm>
#include <utility>

namespace heddle::messaging {

Hub::Subscription::Subscription(Hub& hub, std::string recipient_key, std::shared_ptr<Bell> bell)
    : hub_(hub), recipient_key_(std::move(recipient_key)), bell_(std::move(bell)) {
  const std::lock_guard lock(hub_.mutex_);
  hub_.bells_[recipient_key_].push_back(bell_);
  if (hub_.closed_) bell_->close();
}

Hub::Subscription::~Subscription() {
  const std::lock_guard lock(hub_.mutex_);
  const auto found = hub_.bells_.find(recipient_key_);
  std::erase(found->second, bell_);
  if (found->second.empty()) hub_.bells_.erase(found);
}

std::vector<std::shared_ptr<Bell>> Hub::everybody() {
  std::vector<std::shared_ptr<Bell>> out;
  const std::lock_guard lock(mutex_);
  for (const auto& [recipient, waiting] : bells_) {
    out.insert(out.end(), waiting.begin(), waiting.end());
  }
  return out;
}

void Hub::close() {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  for (auto& bell : everybody()) {
    net::Worker& worker = bell->worker();
    worker.post([moved = std::move(bell)] { moved->close(); });
  }
}

std::size_t Hub::ring_all() {
  auto bells = everybody();
  for (auto& bell : bells) {
    net::Worker& worker = bell->worker();
    worker.post([moved = std::move(bell)] { moved->ring(); });
  }
  return bells.size();
}

void Hub::notify(const std::string& recipient_key) {
  ring(recipient_key);
  if (tell_) tell_(recipient_key);
}

void Hub::ring(const std::string& recipient_key) {
  std::vector<std::shared_ptr<Bell>> bells;
  {
    const std::lock_guard lock(mutex_);
    const auto found = bells_.find(recipient_key);
    if (found == bells_.end()) return;
    bells = found->second;
  }
  for (auto& bell : bells) {
    net::Worker& worker = bell->worker();
    worker.post([moved = std::move(bell)] { moved->ring(); });
  }
}

}  // namespace heddle::messaging
