#include "gateway/origin_fixed.h"

#include <functional>
#include <memory>
#include <string_view>
#include <utility>

#include "gateway/forwarding.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

// Finds the answer once the method is known; what it returns lives as long as this does.
using Choose = std::move_only_function<const FixedAnswer&(std::string_view method)>;

// One request; deletes itself after its last event. The origin that `choose` refers to, which the
// exchange's snapshot holds, outlives it.
class FixedStream final : public http::Sender {
 public:
  FixedStream(net::Worker& worker, Choose choose, http::Receiver& response)
      : worker_(worker), choose_(std::move(choose)), response_(response) {}

  void send_informational(const http::HeaderMap& /*headers*/) override {}
  void send_head(const http::HeaderMap& headers, bool end) override {
    const std::string_view method = headers.get(":method").value_or("");
    fixed_ = &choose_(method);
    bodiless_ = fixed_->status == 204 || method == "HEAD";
    if (end || headers.contains("upgrade")) answer();
  }
  void send_data(http::Buffer&& data, bool end) override {
    received_ += data.size();
    data.clear();
    if (end) answer();
  }
  void send_trailers(const http::HeaderMap& /*trailers*/) override { answer(); }
  void reset(http::StreamError /*error*/) override { delete_later(); }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return false; }
  std::uint64_t bytes_sent() const override { return received_; }
  std::uint64_t bytes_received() const override {
    return fixed_ != nullptr ? fixed_->body.size() : 0;
  }

 private:
  void answer() {
    if (std::exchange(answered_, true)) return;
    worker_.defer([this] {
      if (deleted_) return;
      http::HeadPtr head = http::make_head();
      head->headers.add(":status", std::to_string(fixed_->status));
      for (const auto& [name, value] : fixed_->headers) head->headers.add(name, value);
      if (fixed_->status != 204) {
        head->headers.add("content-length", std::to_string(fixed_->body.size()));
      }
      response_.on_head(std::move(head), bodiless_);
      if (!deleted_ && !bodiless_) {
        http::Buffer body;
        body.append(fixed_->body);
        response_.on_data(body, false);
      }
      if (!deleted_ && !bodiless_) {
        http::Buffer nothing;
        response_.on_data(nothing, true);
      }
      if (deleted_) return;
      response_.on_complete();
      delete_later();
    });
  }

  void delete_later() {
    if (std::exchange(deleted_, true)) return;
    worker_.defer([owned = std::unique_ptr<FixedStream>(this)] {});
  }

  net::Worker& worker_;
  Choose choose_;
  const FixedAnswer* fixed_ = nullptr;
  http::Receiver& response_;
  std::uint64_t received_ = 0;
  bool bodiless_ = false;
  bool answered_ = false;
  bool deleted_ = false;
};

}  // namespace

http::Sender& FixedOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                                 http::Receiver& response) {
  info.upstream_address = "builtin";
  // Owned by itself from here on: see FixedStream::delete_later.
  const auto choose = [this](std::string_view) -> const FixedAnswer& { return answer_; };
  return *std::make_unique<FixedStream>(worker, choose, response).release();
}

http::Sender& MethodsOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                                   http::Receiver& response) {
  info.upstream_address = "builtin";
  auto choose = [this, &info,
                 out = FixedAnswer()](std::string_view method) mutable -> const FixedAnswer& {
    out = {.status = 204, .headers = {{"allow", allow_}}};
    if (method == "OPTIONS") return out;
    out.status = 405;
    out.headers.emplace_back("content-type", "application/json");
    out.body = error_body("method_not_allowed", "this route takes " + allow_, info.request_id);
    return out;
  };
  return *std::make_unique<FixedStream>(worker, std::move(choose), response).release();
}

}  // namespace heddle::gateway
