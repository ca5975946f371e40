// What the TLS sources share about OpenSSL: owners of its objects, its error texts, and the inside
// of the contexts. Private to this folder; the only header that includes OpenSSL.
#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "net/tls.h"

namespace heddle::net {

template <auto Free>
struct OpensslFree {
  template <typename Object>
  void operator()(Object* object) const {
    Free(object);
  }
};
using SslCtxPtr = std::unique_ptr<SSL_CTX, OpensslFree<SSL_CTX_free>>;
using SslPtr = std::unique_ptr<SSL, OpensslFree<SSL_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, OpensslFree<SSL_SESSION_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslFree<X509_free>>;

// The reason of the oldest error in this thread's queue, which is emptied; `otherwise` when it was
// empty.
std::string take_openssl_error(std::string_view otherwise);

std::shared_ptr<const TlsCertificate> certificate_facts(X509* certificate);

// "\x02h2\x08http/1.1"
template <typename Names>
std::string alpn_wire(const Names& protocols) {
  std::string out;
  for (const auto& protocol : protocols) {
    out += static_cast<char>(protocol.size());
    out += protocol;
  }
  return out;
}

// What both sides want of a context.
Result<SslCtxPtr> make_ssl_ctx(const SSL_METHOD* method, TlsVersion min_version);
Result<void> use_key_files(SSL_CTX* ctx, const TlsKeyFiles& files);
Result<void> trust_file(SSL_CTX* ctx, const std::string& ca_file);

struct TlsServerContext::Impl {
  // The context of the best certificate for a lower-case server name; the first when none fits.
  SSL_CTX* choose(const std::string& server_name) const;
  // The certificate that a connection shows.
  std::shared_ptr<const TlsCertificate> shown_by(const SSL* ssl) const;

  std::vector<SslCtxPtr> ctxs;  // one for each certificate
  std::vector<std::shared_ptr<const TlsCertificate>> certificates;
  std::map<std::string, std::size_t, std::less<>> exact;
  std::map<std::string, std::size_t, std::less<>> wildcards;  // "*.example.com" as ".example.com"
  std::string alpn;                                           // wire form
  std::chrono::nanoseconds handshake_timeout{};
};

struct TlsClientContext::Impl {
  static constexpr std::size_t kMaxKeys = 1024;
  static constexpr std::size_t kMaxSessions = 8;  // of one key

  // Sessions by server name and address. TLS 1.3's serve once.
  SslSessionPtr take_session(const std::string& key);
  void keep_session(const std::string& key, SslSessionPtr session);

  SslCtxPtr ctx;
  std::shared_ptr<const TlsCertificate> local;
  bool verify = true;
  std::chrono::nanoseconds handshake_timeout{};
  std::mutex mutex;
  std::map<std::string, std::deque<SslSessionPtr>, std::less<>> sessions;  // guarded by mutex
};

}  // namespace heddle::net
