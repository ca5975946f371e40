#include "contracts/proxy_wasm/http_context.h"

#include <string>
#include <utility>
#include <vector>

#include "http/grpc.h"

namespace heddle::proxy_wasm {

using extension::DataAction;
using extension::FailurePolicy;
using extension::HeadersAction;
using extension::TrailersAction;

namespace {

constexpr int kGrpcUnavailable = 14;

std::string error_body(const std::string& plugin, const std::string& request_id) {
  std::string out = R"({"error":{"code":"plugin_failed","message":)";
  append_json_string(out, "plugin " + plugin + " failed");
  out += R"(,"request_id":)";
  append_json_string(out, request_id);
  out += "}}";
  return out;
}

// Memory of contexts that ended, of this thread.
class FreeList {
 public:
  FreeList() = default;
  FreeList(const FreeList&) = delete;
  FreeList& operator=(const FreeList&) = delete;
  ~FreeList() {
    closed_ = true;
    for (void* memory : free_) ::operator delete(memory);
  }
  void* get(std::size_t size) {
    if (free_.empty()) return ::operator new(size);
    void* out = free_.back();
    free_.pop_back();
    return out;
  }
  void put(void* memory) {
    if (closed_ || free_.size() >= kMost) {
      ::operator delete(memory);
    } else {
      free_.push_back(memory);
    }
  }

 private:
  static constexpr std::size_t kMost = 4096;
  std::vector<void*> free_;
  bool closed_ = false;  // the thread is ending
};
thread_local FreeList t_free;

}  // namespace

void* HttpContext::operator new(std::size_t size) {
  return t_free.get(size);
}
void HttpContext::operator delete(void* memory, std::size_t /*size*/) {
  t_free.put(memory);
}

HttpContext::HttpContext(Version& version, std::shared_ptr<Root> owner, extension::FilterHost& host)
    : version_(version), owner_(std::move(owner)) {
  http = &host;
}

HttpContext::~HttpContext() {
  if (id != 0) vm().close(*this);
}

bool HttpContext::fail_over() {
  const extension::PluginSpec& spec = version_.spec;
  if (spec.on_failure == FailurePolicy::kOpen || answered_) return true;
  answered_ = true;
  extension::LocalReply reply;
  reply.status = spec.failure_status;
  reply.details = "wasm_fail_stream";
  reply.headers.emplace_back("content-type", "application/json");
  reply.body = error_body(spec.name, http->info().request_id);
  const http::HeaderMap* request = http->request_headers();
  if (request != nullptr && http::is_grpc(*request)) reply.grpc_status = kGrpcUnavailable;
  http->send_local_reply(std::move(reply));
  return false;
}

void HttpContext::on_vm_failed() {
  if (!paused[kRequest] && !paused[kResponse]) return;  // its next callback finds out
  if (!fail_over()) return;
  if (std::exchange(paused[kRequest], false)) http->continue_request();
  if (std::exchange(paused[kResponse], false)) http->continue_response();
}

// The stop conversion: a plain Pause holds the body too, unless the entry allows StopIteration (as
// Envoy since ABI 0.2).
HeadersAction HttpContext::headers_action(std::uint32_t result) const {
  if (replied) return HeadersAction::kStopAllWatermark;
  switch (static_cast<HeadersStatus>(result)) {
    case HeadersStatus::kContinue:
      return HeadersAction::kContinue;
    case HeadersStatus::kStopIteration:
      return version_.spec.allow_on_headers_stop_iteration ? HeadersAction::kStop
                                                           : HeadersAction::kStopAllWatermark;
    case HeadersStatus::kContinueAndEndStream:
      return HeadersAction::kContinue;  // the body goes on, as in Envoy 1.40
    case HeadersStatus::kStopAllIterationAndBuffer:
      return HeadersAction::kStopAllBuffer;
    default:
      return HeadersAction::kStopAllWatermark;
  }
}

template <typename Three, typename Two>
HeadersAction HttpContext::headers(Side side, Callback callback, const Three& three, const Two& two,
                                   const http::HeaderMap& map, bool end) {
  const auto count = static_cast<std::uint32_t>(map.size());
  const std::uint32_t end_of_stream = end ? 1 : 0;
  std::optional<std::uint32_t> result;
  if (ready()) {
    result = three ? vm().call(callback, *this, three, id, count, end_of_stream)
                   : vm().call(callback, *this, two, id, count);
  }
  if (!result) return fail_over() ? HeadersAction::kContinue : HeadersAction::kStopAllWatermark;
  const HeadersAction action = headers_action(*result);
  paused.at(side) = action != HeadersAction::kContinue;
  return action;
}

template <typename Function>
DataAction HttpContext::data(Side side, Callback callback, const Function& function,
                             const http::Buffer& bytes, bool end) {
  std::optional<std::uint32_t> result;
  if (ready()) {
    result = vm().call(callback, *this, function, id, static_cast<std::uint32_t>(bytes.size()),
                       end ? 1U : 0U);
  }
  if (!result) return fail_over() ? DataAction::kContinue : DataAction::kNoBuffer;
  if (replied) return DataAction::kNoBuffer;
  paused.at(side) = *result != 0;
  switch (static_cast<DataStatus>(*result)) {
    case DataStatus::kContinue:
      return DataAction::kContinue;
    case DataStatus::kStopIterationAndBuffer:
      return DataAction::kBuffer;
    case DataStatus::kStopIterationAndWatermark:
      return DataAction::kWatermark;
    default:
      return DataAction::kNoBuffer;
  }
}

template <typename Function>
TrailersAction HttpContext::trailers(Side side, Callback callback, const Function& function,
                                     const http::HeaderMap& map) {
  std::optional<std::uint32_t> result;
  if (ready())
    result = vm().call(callback, *this, function, id, static_cast<std::uint32_t>(map.size()));
  if (!result) return fail_over() ? TrailersAction::kContinue : TrailersAction::kStop;
  const bool stop = replied || *result != 0;
  paused.at(side) = stop;
  return stop ? TrailersAction::kStop : TrailersAction::kContinue;
}

HeadersAction HttpContext::on_request_headers(http::HeaderMap& map, bool end) {
  if (owner_ == nullptr)
    return fail_over() ? HeadersAction::kContinue : HeadersAction::kStopAllWatermark;
  const Callbacks& callbacks = vm().callbacks();
  return headers(kRequest, Callback::kRequestHeaders, callbacks.request_headers,
                 callbacks.request_headers_0_1, map, end);
}

HeadersAction HttpContext::on_response_headers(http::HeaderMap& map, bool end) {
  if (owner_ == nullptr)
    return fail_over() ? HeadersAction::kContinue : HeadersAction::kStopAllWatermark;
  const Callbacks& callbacks = vm().callbacks();
  return headers(kResponse, Callback::kResponseHeaders, callbacks.response_headers,
                 callbacks.response_headers_0_1, map, end);
}

DataAction HttpContext::on_request_data(http::Buffer& bytes, bool end) {
  if (owner_ == nullptr) return fail_over() ? DataAction::kContinue : DataAction::kNoBuffer;
  return data(kRequest, Callback::kRequestBody, vm().callbacks().request_body, bytes, end);
}

DataAction HttpContext::on_response_data(http::Buffer& bytes, bool end) {
  if (owner_ == nullptr) return fail_over() ? DataAction::kContinue : DataAction::kNoBuffer;
  return data(kResponse, Callback::kResponseBody, vm().callbacks().response_body, bytes, end);
}

TrailersAction HttpContext::on_request_trailers(http::HeaderMap& map) {
  if (owner_ == nullptr) return fail_over() ? TrailersAction::kContinue : TrailersAction::kStop;
  return trailers(kRequest, Callback::kRequestTrailers, vm().callbacks().request_trailers, map);
}

TrailersAction HttpContext::on_response_trailers(http::HeaderMap& map) {
  if (owner_ == nullptr) return fail_over() ? TrailersAction::kContinue : TrailersAction::kStop;
  return trailers(kResponse, Callback::kResponseTrailers, vm().callbacks().response_trailers, map);
}

void HttpContext::on_log() {
  if (owner_ != nullptr && vm().callbacks().log && ready())
    vm().call(Callback::kLog, *this, vm().callbacks().log, id);
}

}  // namespace heddle::proxy_wasm
