// The table of attributes: value and encoding of each.
#include "contracts/proxy_wasm/properties.h"

#include <cstring>
#include <memory>
#include <string>

#include "contracts/proxy_wasm/pairs.h"
#include "contracts/proxy_wasm/testing.h"
#include "net/tls.h"

namespace heddle::proxy_wasm {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

std::string number(std::int64_t value) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &value, 8);
  return out;
}

std::string dotted(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    if (c == '.') c = '\0';
  }
  return out;
}

// The format of header maps.
std::string pairs_of(const http::HeaderMap& map) {
  std::string out(pairs_size(map), '\0');
  write_pairs(map, out.data());
  return out;
}

struct Row {
  std::string_view name;
  Status status;
  std::string typed;
  std::string text = {};  // with `strings`; the same as typed when empty
};

class PropertiesTest : public ProxyWasmTest {
 protected:
  void SetUp() override {
    ProxyWasmTest::SetUp();
    spec_.root_id = "root";
    spec_.vm_id = "vm";
    extension::ExchangeInfo& info = host_->mutable_info();
    info.route = "a-route";
    info.upstream = "an-upstream";
    info.route_metadata = &metadata_;
    info.upstream_address = "10.1.1.1:9000";
    info.request_body_bytes = 12;
    info.request_total_bytes = 112;
  }
  std::map<std::string, std::string> metadata_ = {{"a.filter.auth", "cookie"}};

  void check(const std::vector<Row>& rows) {
    for (const bool strings : {false, true}) {
      spec_.string_properties = strings;
      for (const Row& row : rows) {
        std::string scratch;
        std::string_view value;
        const std::string path = dotted(row.name);
        const Status status =
            read_attribute({.spec = spec_, .http = host_.get(), .info = &host_->info()},
                           PropertyPath(path), scratch, value);
        EXPECT_EQ(static_cast<int>(status), static_cast<int>(row.status)) << row.name;
        EXPECT_EQ(value, strings && !row.text.empty() ? row.text : row.typed) << row.name;
      }
    }
  }
};

TEST_F(PropertiesTest, OfTheRequest) {
  check({{"request.path", Status::kOk, "/a/b?q=1"},
         {"request.url_path", Status::kOk, "/a/b"},
         {"request.query", Status::kOk, "q=1"},
         {"request.host", Status::kOk, "example.org"},
         {"request.scheme", Status::kOk, "http"},
         {"request.method", Status::kOk, "GET"},
         {"request.useragent", Status::kOk, "test"},
         {"request.referer", Status::kNotFound, ""},
         {"request.id", Status::kOk, "the-request"},
         {"request.protocol", Status::kOk, "HTTP/1.1"},
         {"request.headers.x-twice", Status::kOk, "one,two"},
         {"request.headers.x-none", Status::kNotFound, ""},
         {"request.headers", Status::kOk, pairs_of(host_->request)},
         {"request.time", Status::kOk, number(1'700'000'000'000'000'000), "1700000000000000000"},
         {"request.size", Status::kOk, number(12), "12"},
         {"request.total_size", Status::kOk, number(112), "112"},
         {"request.duration", Status::kNotFound, ""},
         {"request.nothing", Status::kNotFound, ""},
         {"request", Status::kSerializationFailure, ""}});
}

net::TlsInfo tls_info(bool client_certificate) {
  net::TlsInfo tls;
  tls.version = "TLSv1.3";
  tls.server_name = "api.example";
  tls.mutual = client_certificate;
  net::TlsCertificate own;
  own.subject = "CN=api,O=Example";
  own.dns_names = {"api.example", "b"};
  tls.local = std::make_shared<const net::TlsCertificate>(own);
  if (!client_certificate) return tls;
  net::TlsCertificate alice;
  alice.subject = "CN=alice";
  alice.dns_names = {"alice.example"};
  alice.uri_names = {"spiffe://example/alice", "urn:other"};
  alice.sha256 = "00ff";
  tls.peer = std::make_shared<const net::TlsCertificate>(alice);
  return tls;
}

TEST_F(PropertiesTest, OfTls) {
  http::ConnectionInfo connection = *host_->info().connection;
  connection.tls_info = std::make_shared<const net::TlsInfo>(tls_info(true));
  host_->mutable_info().connection = &connection;
  host_->mutable_info().upstream_tls = std::make_shared<const net::TlsInfo>(tls_info(false));
  check({{"connection.mtls", Status::kOk, "\1"s, "true"},
         {"connection.tls_version", Status::kOk, "TLSv1.3"},
         {"connection.requested_server_name", Status::kOk, "api.example"},
         {"connection.subject_local_certificate", Status::kOk, "CN=api,O=Example"},
         {"connection.subject_peer_certificate", Status::kOk, "CN=alice"},
         {"connection.dns_san_local_certificate", Status::kOk, "api.example"},
         {"connection.dns_san_peer_certificate", Status::kOk, "alice.example"},
         {"connection.uri_san_local_certificate", Status::kNotFound, ""},
         {"connection.uri_san_peer_certificate", Status::kOk, "spiffe://example/alice"},
         {"connection.sha256_peer_certificate_digest", Status::kOk, "00ff"},
         {"upstream.tls_version", Status::kOk, "TLSv1.3"},
         {"upstream.subject_local_certificate", Status::kOk, "CN=api,O=Example"},
         {"upstream.subject_peer_certificate", Status::kOk, ""},
         {"upstream.uri_san_peer_certificate", Status::kNotFound, ""},
         {"upstream.sha256_peer_certificate_digest", Status::kNotFound, ""},
         {"upstream.mtls", Status::kNotFound, ""}});
}

TEST_F(PropertiesTest, OfTheRest) {
  check({{"source.address", Status::kOk, "10.0.0.1:5000"},
         {"source.port", Status::kOk, number(5000), "5000"},
         {"destination.address", Status::kOk, "10.0.0.2:80"},
         {"destination.port", Status::kOk, number(80), "80"},
         {"connection.id", Status::kOk, number(77), "77"},
         {"connection_id", Status::kOk, number(77), "77"},
         {"connection.mtls", Status::kOk, "\0"s, "false"},
         {"connection.tls_version", Status::kNotFound, ""},
         {"connection.requested_server_name", Status::kOk, ""},
         {"connection.subject_peer_certificate", Status::kNotFound, ""},
         {"upstream.tls_version", Status::kNotFound, ""},
         {"upstream.address", Status::kOk, "10.1.1.1:9000"},
         {"upstream.port", Status::kOk, number(9000), "9000"},
         {"upstream.local_address", Status::kNotFound, ""},
         {"xds.cluster_name", Status::kOk, "an-upstream"},
         {"xds.route_name", Status::kOk, "a-route"},
         {"xds.route_metadata.filter_metadata.a.filter.auth", Status::kOk, "cookie"},
         {"route_metadata.filter_metadata.a.filter.auth", Status::kOk, "cookie"},
         {"xds.route_metadata.filter_metadata.a.filter", Status::kNotFound, ""},
         {"xds.route_metadata.other", Status::kNotFound, ""},
         {"xds.route_metadata", Status::kSerializationFailure, ""},
         {"cluster_name", Status::kOk, "an-upstream"},
         {"route_name", Status::kOk, "a-route"},
         {"listener_direction", Status::kOk, number(1), "1"},
         {"xds.node.id", Status::kOk, "heddle"},
         {"node.cluster", Status::kOk, "heddle"},
         {"node", Status::kSerializationFailure, ""},
         {"plugin_name", Status::kOk, "tested"},
         {"plugin_root_id", Status::kOk, "root"},
         {"plugin_vm_id", Status::kOk, "vm"},
         {"nothing.at.all", Status::kNotFound, ""}});
}

TEST_F(PropertiesTest, OfTheResponse) {
  check({{"response.code", Status::kNotFound, ""}});
  host_->has_response = true;
  host_->response.add(":status", "200");
  host_->mutable_info().response_code = 200;
  host_->mutable_info().response_flags = "UF,NR";
  host_->mutable_info().response_code_details = "via_upstream";
  check({{"response.code", Status::kOk, number(200), "200"},
         {"response.code_details", Status::kOk, "via_upstream"},
         {"response.flags", Status::kOk, number((1 << 5) | (1 << 8)), "UF,NR"},
         {"response.grpc_status", Status::kOk, number(2), "2"},
         {"response.headers.:status", Status::kOk, "200"},
         {"response.trailers", Status::kOk, std::string(4, '\0')}});
}

TEST_F(PropertiesTest, OnTheRootContext) {
  std::string scratch;
  std::string_view value;
  EXPECT_EQ(read_attribute({.spec = spec_}, PropertyPath("plugin_root_id\0"sv), scratch, value),
            Status::kOk);
  EXPECT_EQ(value, "root");
  EXPECT_EQ(read_attribute({.spec = spec_}, PropertyPath("request\0path"sv), scratch, value),
            Status::kNotFound);
}

TEST(PropertyPath, NulAtTheEndIsNoSegment) {
  const PropertyPath with("a\0b\0"sv);
  const PropertyPath without("a\0b"sv);
  EXPECT_EQ(with.raw, without.raw);
  EXPECT_EQ(with.count, 2U);
  EXPECT_EQ(PropertyPath("").count, 1U);
  EXPECT_EQ(PropertyPath(std::string(100, '\0')).count, PropertyPath::kMaxSegments);
}

}  // namespace
}  // namespace heddle::proxy_wasm
