#include "gateway/origin_echo.h"

#include <charconv>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/log.h"
#include "gateway/router.h"
#include "net/worker.h"

namespace heddle::gateway {
namespace {

constexpr std::size_t kShownBody = std::size_t{1} << 20U;

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8U | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      out += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 0x3FU] : '=';
    }
  }
  return out;
}

void append_headers(std::string& out, const http::HeaderMap& headers) {
  std::map<std::string_view, std::string> joined;
  for (const auto& [name, value] : headers) {
    if (name.starts_with(':')) continue;
    auto [it, fresh] = joined.try_emplace(name, value);
    if (!fresh) (it->second += ", ") += value;
  }
  out += '{';
  for (const auto& [name, value] : joined) {
    if (out.back() != '{') out += ',';
    append_json_string(out, name);
    out += ':';
    append_json_string(out, value);
  }
  out += '}';
}

// One request; deletes itself after its last event.
class EchoStream final : public http::Sender {
 public:
  EchoStream(net::Worker& worker, const extension::ExchangeInfo& info, http::Receiver& response)
      : worker_(worker), info_(info), response_(response) {}

  void send_informational(const http::HeaderMap& /*headers*/) override {}

  void send_head(const http::HeaderMap& headers, bool end) override {
    out_ = R"({"method":)";
    append_json_string(out_, headers.get(":method").value_or(""));
    out_ += R"(,"path":)";
    append_json_string(out_, headers.get(":path").value_or(""));
    out_ += R"(,"authority":)";
    append_json_string(out_, headers.get(":authority").value_or(""));
    out_ += R"(,"protocol":)";
    append_json_string(out_, to_string(info_.protocol));
    out_ += R"(,"headers":)";
    append_headers(out_, headers);
    status_ = wanted_status(headers.get(":path").value_or(""));
    head_request_ = headers.get(":method") == "HEAD";
    // An upgrade is declined: its body would begin only behind a 101.
    if (end || headers.contains("upgrade")) answer();
  }

  void send_data(http::Buffer&& data, bool end) override {
    body_bytes_ += data.size();
    if (body_bytes_ <= kShownBody) body_ += data.to_string();
    data.clear();
    if (end) answer();
  }

  void send_trailers(const http::HeaderMap& trailers) override {
    trailers_ = R"(,"trailers":)";
    append_headers(trailers_, trailers);
    answer();
  }

  void reset(http::StreamError /*error*/) override { delete_later(); }
  void pause_receiving() override {}
  void resume_receiving() override {}
  bool above_watermark() const override { return false; }
  std::uint64_t bytes_sent() const override { return body_bytes_; }
  std::uint64_t bytes_received() const override { return out_.size(); }

 private:
  static int wanted_status(std::string_view path) {
    const std::string_view query = split_target(path).second;
    const std::size_t at = query.find("status=");
    int status = 0;
    if (at != std::string_view::npos && (at == 0 || query[at - 1] == '&')) {
      std::from_chars(query.data() + at + 7, query.data() + query.size(), status);
    }
    return status >= 200 && status <= 599 ? status : 200;
  }

  void answer() {
    if (std::exchange(answered_, true)) return;
    worker_.defer([this] {
      if (deleted_) return;
      finish_body();
      http::HeadPtr head = http::make_head();
      head->headers.add(":status", std::to_string(status_));
      head->headers.add("content-type", "application/json");
      head->headers.add("content-length", std::to_string(out_.size()));
      const bool bodiless = head_request_ || status_ == 204 || status_ == 304;
      if (status_ == 204) head->headers.remove("content-length");
      response_.on_head(std::move(head), bodiless);
      if (!deleted_ && !bodiless) {
        http::Buffer body;
        body.append(out_);
        response_.on_data(body, false);
      }
      if (!deleted_ && !bodiless) {
        http::Buffer nothing;
        response_.on_data(nothing, true);
      }
      if (!deleted_) {
        response_.on_complete();
        delete_later();
      }
    });
  }

  void finish_body() {
    std::string shown;
    append_json_string(shown, body_);
    // A replacement character that the body itself does not have: it was not UTF-8.
    const bool text = shown.find("\xEF\xBF\xBD") == std::string::npos ||
                      body_.find("\xEF\xBF\xBD") != std::string::npos;
    if (body_bytes_ > kShownBody) {
      out_ += R"(,"body_truncated":true)";
    } else if (text) {
      out_ += R"(,"body":)" + shown;
    } else {
      out_ += R"(,"body_base64":")" + base64(body_) + '"';
    }
    out_ += R"(,"body_bytes":)" + std::to_string(body_bytes_);
    out_ += trailers_;
    out_ += R"(,"request_id":)";
    append_json_string(out_, info_.request_id);
    out_ += "}\n";
  }

  void delete_later() {
    if (std::exchange(deleted_, true)) return;
    worker_.defer([owned = std::unique_ptr<EchoStream>(this)] {});
  }

  net::Worker& worker_;
  const extension::ExchangeInfo& info_;
  http::Receiver& response_;
  std::string out_;
  std::string body_;
  std::string trailers_;
  std::uint64_t body_bytes_ = 0;
  int status_ = 200;
  bool head_request_ = false;
  bool answered_ = false;
  bool deleted_ = false;
};

}  // namespace

http::Sender& EchoOrigin::start(net::Worker& worker, extension::ExchangeInfo& info,
                                http::Receiver& response) {
  info.upstream_address = "builtin:echo";
  // Owned by itself from here on: see EchoStream::delete_later.
  return *std::make_unique<EchoStream>(worker, info, response).release();
}

}  // namespace heddle::gateway
