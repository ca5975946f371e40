// Who waits for messages of which recipient, over all workers. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "messaging/bell.h"

namespace heddle::messaging {

class Hub {
 public:
  // Ends with its destruction. The bell's worker only.
  class Subscription {
   public:
    Subscription(Hub& hub, std::string recipient_key, std::shared_ptr<Bell> bell);
    ~Subscription();
    Subscription(const Subscription&) = delete;
    Subscription& operator=(const Subscription&) = delete;

   private:
    Hub& hub_;
    const std::string recipient_key_;
    const std::shared_ptr<Bell> bell_;
  };

  // Whoever waits, or will, stops.
  void close();

  // Something was stored for them: rings the bells of this process, and tells other servers.
  void notify(const std::string& recipient_key);
  // The same without telling others: what one of them told us.
  void ring(const std::string& recipient_key);
  // Everybody who waits looks for news; how many they are.
  std::size_t ring_all();
  // How other servers are told; set before anybody subscribes.
  void tell_others(std::function<void(const std::string&)> tell) { tell_ = std::move(tell); }

 private:
  std::vector<std::shared_ptr<Bell>> everybody();

  std::mutex mutex_;
  // guarded by mutex_
  std::unordered_map<std::string, std::vector<std::shared_ptr<Bell>>> bells_;
  bool closed_ = false;  // guarded by mutex_
  std::function<void(const std::string&)> tell_;
};

}  // namespace heddle::messaging
