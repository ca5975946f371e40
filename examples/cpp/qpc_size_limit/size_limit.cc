// A native_hook in C++ whose state cleans up after itself: rejects large payloads, and writes at
// the end how many it let pass. No exception leaves the C interface.
#include <heddle/abi/qpc_plugin.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <new>
#include <string>

namespace {

class SizeLimit {
 public:
  explicit SizeLimit(std::size_t limit)
      : limit_(limit), reason_("payload larger than " + std::to_string(limit) + " bytes") {}
  ~SizeLimit() { std::fprintf(stderr, "size_limit: %lu messages passed\n", passed_.load()); }
  SizeLimit(const SizeLimit&) = delete;
  SizeLimit& operator=(const SizeLimit&) = delete;

  std::int32_t enqueue(const CMessageEvent& event) {
    if (event.payload_len > limit_) return HOOK_REJECT;
    ++passed_;
    return HOOK_CONTINUE;
  }
  const char* reason() const { return reason_.c_str(); }

 private:
  std::size_t limit_;
  std::string reason_;
  std::atomic<unsigned long> passed_{0};
};

SizeLimit& self(void* user_data) {
  return *static_cast<SizeLimit*>(user_data);
}

}  // namespace

extern "C" std::int32_t qpc_plugin_init(HookVTable* vtable) try {
  auto plugin = std::make_unique<SizeLimit>(1'000'000);
  vtable->on_message_enqueue = [](void* data, const CMessageEvent* event) {
    return self(data).enqueue(*event);
  };
  vtable->error_message = [](void* data) {
    return reinterpret_cast<const std::uint8_t*>(self(data).reason());
  };
  vtable->destroy = [](void* data) { std::unique_ptr<SizeLimit>(&self(data)).reset(); };
  vtable->user_data = plugin.release();  // destroy() takes it back
  return PLUGIN_OK;
} catch (const std::bad_alloc&) {
  return -1;
}
