// Any bytes as the path of a property, on an exchange that has everything that attributes tell of,
// on one that has nothing yet, on a TCP connection and on the root context: a status and readable
// bytes; a path that is as it was given.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "contracts/proxy_wasm/properties.h"
#include "net/tls.h"

namespace {

using namespace heddle;
using proxy_wasm::PropertyPath;
using proxy_wasm::Status;

void require(bool good) {
  if (!good) std::abort();
}

// An exchange without a gateway: only what is read.
class Host final : public extension::FilterHost {
 public:
  explicit Host(const extension::ExchangeInfo& info) : info_(info) {}
  void fill() {
    for (const auto& [name, value] : {std::pair{":path", "/a/b?q=1"},
                                      {":method", "GET"},
                                      {":authority", "host:80"},
                                      {"content-length", "12x"},
                                      {"x-a", "1"},
                                      {"x-a", "2"},
                                      {"referer", ""}}) {
      request_->headers.add(name, value);
    }
    response_->headers.add(":status", "200");
    trailers_->headers.add("grpc-status", "14");
    filled_ = true;
  }

  net::Worker& worker() override { std::abort(); }
  const extension::ExchangeInfo& info() const override { return info_; }
  http::HeaderMap* request_headers() override { return filled_ ? &request_->headers : nullptr; }
  http::HeaderMap* request_trailers() override { return nullptr; }
  http::HeaderMap* response_headers() override { return filled_ ? &response_->headers : nullptr; }
  http::HeaderMap* response_trailers() override { return filled_ ? &trailers_->headers : nullptr; }
  bool request_headers_writable() const override { return false; }
  bool request_trailers_writable() const override { return false; }
  bool response_headers_writable() const override { return false; }
  bool response_trailers_writable() const override { return false; }
  http::HeaderMap* create_request_trailers() override { return nullptr; }
  http::HeaderMap* create_response_trailers() override { return nullptr; }
  http::Buffer* request_body() override { return nullptr; }
  http::Buffer* response_body() override { return nullptr; }
  void continue_request() override {}
  void continue_response() override {}
  void send_local_reply(extension::LocalReply /*reply*/) override {}
  void reset_stream() override {}
  void clear_route() override {}
  extension::Properties& properties() override { return properties_; }

 private:
  const extension::ExchangeInfo& info_;
  http::HeadPtr request_ = http::make_head();
  http::HeadPtr response_ = http::make_head();
  http::HeadPtr trailers_ = http::make_head();
  bool filled_ = false;
  extension::Properties properties_;
};

struct World {
  World() {
    auto tls = std::make_shared<net::TlsInfo>();
    tls->version = "TLSv1.3";
    tls->server_name = "a.host";
    auto certificate = std::make_shared<net::TlsCertificate>();
    certificate->subject = "CN=a";
    certificate->dns_names = {"a.host"};
    tls->peer = certificate;
    tls->local = std::make_shared<net::TlsCertificate>();
    connection.remote_address = "[::1]:50123";
    connection.tls_info = tls;
    full.connection = &connection;
    full.upstream_tls = tls;
    full.route = full.route_upstream = full.upstream = "name";
    full.route_metadata = &metadata;
    full.upstream_address = "10.0.0.1:99999999999999999999";
    full.upstream_local_address = "no port";
    full.request_id = "id";
    full.response_code = 503;
    full.response_flags = "UF,URX,,nonsense";
    full.end = 5;
    full_host.fill();
  }
  std::map<std::string, std::string> metadata = {{"a.b.c", "value"}, {"", "empty"}};
  http::ConnectionInfo connection;
  extension::ExchangeInfo full;
  extension::ExchangeInfo empty;
  Host full_host{full};
  Host empty_host{empty};
  extension::PluginSpec spec;
};

void check_path(std::string_view given, const PropertyPath& path) {
  require(path.count >= 1 && path.count <= PropertyPath::kMaxSegments);
  require(path.raw.size() + 1 >= given.size() && given.starts_with(path.raw));
  std::string joined(path.segment(0));
  for (std::size_t i = 1; i < path.count; ++i) (joined += '\0') += path.segment(i);
  require(path.raw.starts_with(joined));
  require(path.count == PropertyPath::kMaxSegments || path.raw == joined);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static World& world = *new World;  // NOLINT: lives as long as the process
  const std::string_view given(reinterpret_cast<const char*>(data), size);
  const PropertyPath path(given);
  check_path(given, path);
  for (const bool strings : {false, true}) {
    world.spec.string_properties = strings;
    for (const proxy_wasm::PropertySource& source :
         {proxy_wasm::PropertySource{world.spec, &world.full_host, &world.full},
          proxy_wasm::PropertySource{world.spec, &world.empty_host, &world.empty},
          proxy_wasm::PropertySource{world.spec, nullptr, &world.full},
          proxy_wasm::PropertySource{world.spec, nullptr, nullptr}}) {
      std::string scratch = "what was there before";
      std::string_view value;
      const Status status = proxy_wasm::read_attribute(source, path, scratch, value);
      require(status == Status::kOk || status == Status::kNotFound ||
              status == Status::kSerializationFailure);
      require(status == Status::kOk || value.empty());
      require(std::string(value).size() == value.size());  // every byte is read
    }
  }
  return 0;
}
