// What the native filters share: they look at headers only.
#pragma once

#include <string>
#include <utility>

#include "extension/http_filter.h"

namespace heddle::gateway {

class NativeFilter : public extension::HttpFilter {
 public:
  extension::HeadersAction on_request_headers(http::HeaderMap& /*headers*/, bool /*end*/) override {
    return extension::HeadersAction::kContinue;
  }
  extension::DataAction on_request_data(http::Buffer& /*data*/, bool /*end*/) override {
    return extension::DataAction::kContinue;
  }
  extension::TrailersAction on_request_trailers(http::HeaderMap& /*trailers*/) override {
    return extension::TrailersAction::kContinue;
  }
  extension::HeadersAction on_response_headers(http::HeaderMap& /*headers*/,
                                               bool /*end*/) override {
    return extension::HeadersAction::kContinue;
  }
  extension::DataAction on_response_data(http::Buffer& /*data*/, bool /*end*/) override {
    return extension::DataAction::kContinue;
  }
  extension::TrailersAction on_response_trailers(http::HeaderMap& /*trailers*/) override {
    return extension::TrailersAction::kContinue;
  }
  void on_log() override {}
};

class NativeFactory : public extension::HttpFilterFactory {
 public:
  NativeFactory(std::string name, extension::FilterInterest interest)
      : name_(std::move(name)), interest_(interest) {}
  const std::string& name() const override { return name_; }
  extension::FilterInterest interest() const override { return interest_; }
  std::size_t buffer_limit() const override { return 0; }

 private:
  std::string name_;
  extension::FilterInterest interest_;
};

}  // namespace heddle::gateway
