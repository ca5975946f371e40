// A stream context: the HttpFilter that carries an exchange into a VM. Specification v0.2.1 "HTTP/2 streams"; what Envoy
// shows a plugin: reference/envoy.md.
//
// Its guest context is created at the first callback and deleted with the filter: (log), done, delete, as Envoy orders them.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "contracts/pw/abi.h"
#include "contracts/pw/vm.h"
#include "extension/http_filter.h"

namespace heddle::proxy_wasm {

// The JSON answer for an exchange whose plugin failed closed.
extension::LocalReply failure_reply(const PluginCode& code, const extension::ExchangeInfo& info);

class HttpContext final : public extension::HttpFilter {
 public:
  HttpContext(std::shared_ptr<Vm> vm, extension::FilterHost& host);
  ~HttpContext() override;

  extension::HeadersAction on_request_headers(http::HeaderMap& headers, bool end) override;
  extension::DataAction on_request_data(http::Buffer& data, bool end) override;
  extension::TrailersAction on_request_trailers(http::HeaderMap& trailers) override;
  extension::HeadersAction on_response_headers(http::HeaderMap& headers, bool end) override;
  extension::DataAction on_response_data(http::Buffer& data, bool end) override;
  extension::TrailersAction on_response_trailers(http::HeaderMap& trailers) override;
  void on_log() override;

  Vm::Context id() const { return id_; }
  extension::FilterHost& host() { return host_; }
  bool logging() const { return logging_; }

  // From host calls.
  void send_local_reply(extension::LocalReply reply);

 private:
  // Whether callbacks may be made; creates the guest's context at the first. When not, the exchange goes by the policy.
  bool ready();
  // The answer to a callback that failed: by the failure policy, once per exchange.
  void fail();
  bool passes_by() const;

  template <typename Call>
  extension::HeadersAction headers_callback(const Call& call);
  template <typename Call>
  extension::DataAction data_callback(const Call& call);
  template <typename Call>
  extension::TrailersAction trailers_callback(const Call& call);

  std::shared_ptr<Vm> vm_;
  extension::FilterHost& host_;
  Vm::Context id_ = 0;
  bool replied_ = false;        // in this callback
  bool failure_sent_ = false;
  bool logging_ = false;
};

}  // namespace heddle::proxy_wasm
