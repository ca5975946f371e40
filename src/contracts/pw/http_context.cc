#include "contracts/pw/http_context.h"

#include <utility>

#include "base/log.h"

namespace heddle::proxy_wasm {

using extension::DataAction;
using extension::HeadersAction;
using extension::TrailersAction;

namespace {

std::uint32_t count(const http::HeaderMap& headers) { return static_cast<std::uint32_t>(headers.size()); }

}  // namespace

extension::LocalReply failure_reply(const PluginCode& code, const extension::ExchangeInfo& info) {
  extension::LocalReply reply;
  reply.status = code.spec.failure_status;
  reply.details = "wasm_fail_stream";
  reply.headers.emplace_back("content-type", "application/json");
  reply.body = R"({"error":{"code":"plugin_failed","message":)";
  append_json_string(reply.body, "plugin " + code.spec.name + " failed");
  reply.body += R"(,"request_id":)";
  append_json_string(reply.body, info.request_id);
  reply.body += "}}\n";
  return reply;
}

HttpContext::HttpContext(std::shared_ptr<Vm> vm, extension::FilterHost& host)
    : vm_(std::move(vm)), host_(host) {
  vm_->code().metrics.exchanges->add();
}

HttpContext::~HttpContext() {
  if (id_ == 0) return;
  if (!vm_->failed()) {
    const Vm::Functions& f = vm_->functions();
    // What done returns is for root contexts; a stream goes in any case.
    if (f.done) vm_->call(Callback::kDone, f.done, this, id_);
    if (!vm_->failed() && f.remove) vm_->call(Callback::kDelete, f.remove, this, id_);
  }
  vm_->remove(id_);
}

bool HttpContext::ready() {
  replied_ = false;
  if (vm_->failed()) {
    fail();
    return false;
  }
  if (id_ != 0) return true;
  id_ = vm_->add(*this);
  const Vm::Functions& f = vm_->functions();
  if (f.context_create && !vm_->call(Callback::kContextCreate, f.context_create, this, id_, kRootContext)) {
    fail();
    return false;
  }
  return true;
}

bool HttpContext::passes_by() const {
  return vm_->code().spec.on_failure == extension::FailurePolicy::kOpen;
}

void HttpContext::fail() {
  if (passes_by() || std::exchange(failure_sent_, true)) return;
  host_.send_local_reply(failure_reply(vm_->code(), host_.info()));
}

void HttpContext::send_local_reply(extension::LocalReply reply) {
  replied_ = true;
  host_.send_local_reply(std::move(reply));
}

// After a local reply the exchange stops whatever was returned; the chain sees to it.
template <typename Call>
HeadersAction HttpContext::headers_callback(const Call& call) {
  if (!ready()) return HeadersAction::kContinue;
  const std::optional<std::uint32_t> action = call();
  if (!action) {
    fail();
    return HeadersAction::kContinue;
  }
  switch (*action) {
    case 0: return HeadersAction::kContinue;
    case 1:
      return vm_->code().spec.allow_on_headers_stop_iteration ? HeadersAction::kStop
                                                              : HeadersAction::kStopAllWatermark;
    case 2: return HeadersAction::kContinueAndEnd;
    case 3: return HeadersAction::kStopAllBuffer;
    default: return HeadersAction::kStopAllWatermark;
  }
}

template <typename Call>
DataAction HttpContext::data_callback(const Call& call) {
  if (!ready()) return DataAction::kContinue;
  const std::optional<std::uint32_t> action = call();
  if (!action) {
    fail();
    return DataAction::kContinue;
  }
  switch (*action) {
    case 0: return DataAction::kContinue;
    case 1: return DataAction::kBuffer;
    case 2: return DataAction::kWatermark;
    default: return DataAction::kNoBuffer;
  }
}

template <typename Call>
TrailersAction HttpContext::trailers_callback(const Call& call) {
  if (!ready()) return TrailersAction::kContinue;
  const std::optional<std::uint32_t> action = call();
  if (!action) {
    fail();
    return TrailersAction::kContinue;
  }
  return *action == 0 ? TrailersAction::kContinue : TrailersAction::kStop;
}

HeadersAction HttpContext::on_request_headers(http::HeaderMap& headers, bool end) {
  return headers_callback([&]() -> std::optional<std::uint32_t> {
    const Vm::Functions& f = vm_->functions();
    if (f.request_headers_0_1) {
      return vm_->call(Callback::kRequestHeaders, f.request_headers_0_1, this, id_, count(headers));
    }
    return vm_->call(Callback::kRequestHeaders, f.request_headers, this, id_, count(headers), end ? 1U : 0U);
  });
}

DataAction HttpContext::on_request_data(http::Buffer& data, bool end) {
  return data_callback([&] {
    return vm_->call(Callback::kRequestBody, vm_->functions().request_body, this, id_,
                     static_cast<std::uint32_t>(data.size()), end ? 1U : 0U);
  });
}

TrailersAction HttpContext::on_request_trailers(http::HeaderMap& trailers) {
  return trailers_callback([&] {
    return vm_->call(Callback::kRequestTrailers, vm_->functions().request_trailers, this, id_, count(trailers));
  });
}

HeadersAction HttpContext::on_response_headers(http::HeaderMap& headers, bool end) {
  return headers_callback([&]() -> std::optional<std::uint32_t> {
    const Vm::Functions& f = vm_->functions();
    if (f.response_headers_0_1) {
      return vm_->call(Callback::kResponseHeaders, f.response_headers_0_1, this, id_, count(headers));
    }
    return vm_->call(Callback::kResponseHeaders, f.response_headers, this, id_, count(headers), end ? 1U : 0U);
  });
}

DataAction HttpContext::on_response_data(http::Buffer& data, bool end) {
  return data_callback([&] {
    return vm_->call(Callback::kResponseBody, vm_->functions().response_body, this, id_,
                     static_cast<std::uint32_t>(data.size()), end ? 1U : 0U);
  });
}

TrailersAction HttpContext::on_response_trailers(http::HeaderMap& trailers) {
  return trailers_callback([&] {
    return vm_->call(Callback::kResponseTrailers, vm_->functions().response_trailers, this, id_, count(trailers));
  });
}

void HttpContext::on_log() {
  if (vm_->failed()) return;
  failure_sent_ = true;  // there is nobody left to answer
  if (!ready()) return;
  logging_ = true;
  vm_->call(Callback::kLog, vm_->functions().log, this, id_);
}

}  // namespace heddle::proxy_wasm
