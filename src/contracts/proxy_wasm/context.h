// What a host call acts on: a root context of a VM, or the stream context of one exchange or one
// TCP connection.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "extension/http_filter.h"
#include "extension/network_filter.h"

namespace heddle::proxy_wasm {

class Root;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final

class Context {
 public:
  Context() = default;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  std::uint32_t id = 0;  // in its VM; 0 until the guest knows of it
  Root* root = nullptr;  // itself for a root context
  // Both null: the root context.
  extension::FilterHost* http = nullptr;
  extension::NetworkFilterHost* network = nullptr;
  bool replied = false;  // send_local_response was called within the running callback
  // Request and response, or downstream and upstream: held back by what a callback returned.
  std::array<bool, 2> paused{};
  std::size_t header_bytes = 0;  // that the guest wrote into header maps
  Context* next = nullptr;       // in the VM's table

  // Of the exchange or the connection; null on the root context.
  const extension::ExchangeInfo* info() const {
    if (http != nullptr) return &http->info();
    return network != nullptr ? &network->info() : nullptr;
  }
  std::string_view request_id() const {
    const extension::ExchangeInfo* known = info();
    return known != nullptr ? known->request_id : std::string_view();
  }
  // Values set by plugins; null on the root context.
  extension::Properties* properties() const {
    if (http != nullptr) return &http->properties();
    return network != nullptr ? &network->properties() : nullptr;
  }

  // The VM trapped, outside of a callback of this context or within; it is not called again.
  virtual void on_vm_failed() = 0;

 protected:
  ~Context() = default;
};

// Contexts by id. Ids grow one by one, so their low bits are a perfect hash. Links the contexts
// themselves: no allocation for an exchange once the table has its size.
class ContextTable {
 public:
  void insert(Context& context) {
    if (size_ >= buckets_.size()) grow();
    ++size_;
    Context*& head = bucket(context.id);
    context.next = head;
    head = &context;
  }
  void remove(const Context& context) {
    for (Context** at = &bucket(context.id); *at != nullptr; at = &(*at)->next) {
      if (*at != &context) continue;
      *at = context.next;
      --size_;
      return;
    }
  }
  Context* find(std::uint32_t id) const {
    if (buckets_.empty()) return nullptr;
    Context* at = buckets_[id & (buckets_.size() - 1)];
    while (at != nullptr && at->id != id) at = at->next;
    return at;
  }
  template <typename Visit>
  void visit(Visit visit) const {
    for (Context* head : buckets_) {
      for (Context* at = head; at != nullptr;) {
        Context* following = at->next;
        visit(*at);
        at = following;
      }
    }
  }

 private:
  Context*& bucket(std::uint32_t id) { return buckets_[id & (buckets_.size() - 1)]; }
  void grow() {
    std::vector<Context*> old(buckets_.empty() ? kFirstSize : buckets_.size() * 2);
    old.swap(buckets_);
    for (Context* head : old) {
      while (head != nullptr) {
        Context* following = head->next;
        Context*& place = bucket(head->id);
        head->next = place;
        place = head;
        head = following;
      }
    }
  }

  static constexpr std::size_t kFirstSize = 16;
  std::vector<Context*> buckets_;  // a power of two, or none yet
  std::size_t size_ = 0;
};

}  // namespace heddle::proxy_wasm
