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

void Hub::close() {
  std::vector<std::shared_ptr<Bell>> bells;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& [recipient, waiting] : bells_) {
      bells.insert(bells.end(), waiting.begin(), waiting.end());
    }
  }
  for (auto& bell : bells) {
    net::Worker& worker = bell->worker();
    worker.post([moved = std::move(bell)] { moved->close(); });
  }
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
