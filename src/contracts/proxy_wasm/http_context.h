// One exchange as one plugin sees it: an HttpFilter whose callbacks are calls of the guest
// (Proxy-Wasm specification 0.2.1, "HTTP"; return values as reference/proxy-wasm.md, section 7).
//
// Belongs to the exchange and its worker. The guest's stream context is made at the first callback.
// When the VM fails, or could not be had to begin with, the exchange ends by the plugin's failure
// policy.
#pragma once

#include <cstddef>
#include <memory>

#include "contracts/proxy_wasm/context.h"
#include "contracts/proxy_wasm/root.h"
#include "extension/http_filter.h"

namespace heddle::proxy_wasm {

class HttpContext final : public extension::HttpFilter, public Context {
 public:
  // `owner` null: the plugin is down, and its policy is not to be open.
  HttpContext(Version& version, std::shared_ptr<Root> owner, extension::FilterHost& host);
  ~HttpContext() override;
  HttpContext(const HttpContext&) = delete;
  HttpContext& operator=(const HttpContext&) = delete;

  // Memory comes from a free list of the thread: one exchange needs one of these for each plugin.
  static void* operator new(std::size_t size);
  static void operator delete(void* memory, std::size_t size);

  extension::HeadersAction on_request_headers(http::HeaderMap& headers, bool end) override;
  extension::DataAction on_request_data(http::Buffer& data, bool end) override;
  extension::TrailersAction on_request_trailers(http::HeaderMap& trailers) override;
  extension::HeadersAction on_response_headers(http::HeaderMap& headers, bool end) override;
  extension::DataAction on_response_data(http::Buffer& data, bool end) override;
  extension::TrailersAction on_response_trailers(http::HeaderMap& trailers) override;
  void on_log() override;

  void on_vm_failed() override;  // Context

 private:
  enum Side : std::uint8_t { kRequest, kResponse };

  bool ready() {
    return owner_ != nullptr && owner_->alive() && (id != 0 || vm().open(*this, *owner_));
  }
  Vm& vm() const { return owner_->vm(); }
  // Answers for the plugin that cannot, once. True: the exchange goes on without it.
  bool fail_over();

  template <typename Three, typename Two>
  extension::HeadersAction headers(Side side, Callback callback, const Three& three, const Two& two,
                                   const http::HeaderMap& map, bool end);
  template <typename Function>
  extension::DataAction data(Side side, Callback callback, const Function& function,
                             const http::Buffer& bytes, bool end);
  template <typename Function>
  extension::TrailersAction trailers(Side side, Callback callback, const Function& function,
                                     const http::HeaderMap& map);
  extension::HeadersAction headers_action(std::uint32_t result) const;

  Version& version_;  // the filter's factory keeps it
  std::shared_ptr<Root> owner_;
  bool answered_ = false;  // by fail_over()
};

}  // namespace heddle::proxy_wasm
