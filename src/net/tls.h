// TLS 1.2 and 1.3 on connections (OpenSSL 3): what a side is configured with, and what is known of
// a connection that speaks it. TcpStream::start_tls_server() and start_tls_client() put a context
// to use.
//
// Contexts are immutable and may be used by all workers at once. Making one reads files: control
// thread only.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace heddle::net {

enum class TlsVersion : std::uint8_t { kTls12, kTls13 };

// The facts of a certificate that logs and plugins ask for.
struct TlsCertificate {
  std::string subject;                 // RFC 2253: "CN=api,O=Example"
  std::vector<std::string> dns_names;  // subject alternative names, lower case
  std::vector<std::string> uri_names;
  std::string sha256;           // of the DER form, lower-case hex
  std::int64_t not_before = 0;  // seconds since 1970
  std::int64_t not_after = 0;
};

// What the handshake agreed on.
struct TlsInfo {
  std::string version;      // "TLSv1.2", "TLSv1.3"
  std::string cipher;       // "TLS_AES_256_GCM_SHA384"
  std::string alpn;         // "h2", "http/1.1"; empty when nothing was agreed on
  std::string server_name;  // SNI, lower case; empty when the client sent none
  bool resumed = false;
  bool mutual = false;  // both sides showed a certificate, and the client's was verified
  std::shared_ptr<const TlsCertificate> local;  // null: none was shown
  std::shared_ptr<const TlsCertificate> peer;
};

// Why a handshake failed, for metrics; the words for people come beside it.
enum class TlsFailure : std::uint8_t {
  kNone,
  kTimeout,
  kClosed,       // the peer left, or the connection broke
  kPlainHttp,    // the client speaks HTTP without TLS
  kNotTls,       // the bytes are no TLS records
  kVersion,      // no version in common
  kCipher,       // no cipher in common
  kAlpn,         // no application protocol in common
  kCertificate,  // the peer's certificate is missing or not trusted
  kRefused,      // the peer said no, by an alert: most often it does not trust our certificate
  kProtocol,     // everything else that breaks the rules
};
inline constexpr std::size_t kTlsFailures = static_cast<std::size_t>(TlsFailure::kProtocol) + 1;
std::string_view to_string(TlsFailure failure);  // "timeout", "plain_http"

struct TlsKeyFiles {
  std::string cert_file;  // PEM, with the chain after it
  std::string key_file;   // PEM; may be the same file
};

// Seals the session tickets of a listener. Whoever makes contexts anew keeps them, so that clients
// can resume after the certificates changed.
class TlsTicketKeys {
 public:
  static Result<std::shared_ptr<const TlsTicketKeys>> create();
  ~TlsTicketKeys();
  TlsTicketKeys(const TlsTicketKeys&) = delete;
  TlsTicketKeys& operator=(const TlsTicketKeys&) = delete;
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  explicit TlsTicketKeys(std::vector<unsigned char> bytes) : bytes_(std::move(bytes)) {}
  std::vector<unsigned char> bytes_;
};

// How long a handshake may take unless the options say otherwise.
inline constexpr std::chrono::seconds kTlsHandshakeTimeout{10};

struct TlsServerOptions {
  // At least one. The server name that a client asks for chooses, by the names in the certificates;
  // the first is for all others.
  std::vector<TlsKeyFiles> certificates;
  std::string client_ca_file;                // clients must show a certificate of these authorities
  bool client_certificate_optional = false;  // they may, with client_ca_file
  TlsVersion min_version = TlsVersion::kTls12;
  std::vector<std::string> alpn;  // in order of preference; empty: no ALPN
  std::chrono::nanoseconds handshake_timeout = kTlsHandshakeTimeout;
  std::shared_ptr<const TlsTicketKeys> ticket_keys;  // null: keys of this context only
};

class TlsServerContext {
 public:
  // Errors name the file and OpenSSL's reason: missing, not PEM, the key is of another certificate.
  static Result<std::shared_ptr<const TlsServerContext>> create(const TlsServerOptions& options);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  // As in the options.
  const std::vector<std::shared_ptr<const TlsCertificate>>& certificates() const;

  struct Impl;
  const Impl& impl() const { return *impl_; }

 private:
  explicit TlsServerContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct TlsClientOptions {
  std::string ca_file;  // authorities that are trusted; empty: those of the system
  bool verify = true;   // the chain, and that the certificate is of the server that was asked for
  TlsKeyFiles certificate;  // shown to servers that ask; empty: none
  TlsVersion min_version = TlsVersion::kTls12;
  std::chrono::nanoseconds handshake_timeout = kTlsHandshakeTimeout;
};

// Remembers sessions by server name and address, and resumes them.
class TlsClientContext {
 public:
  static Result<std::shared_ptr<const TlsClientContext>> create(const TlsClientOptions& options);
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  // As in the options; null: none.
  const std::shared_ptr<const TlsCertificate>& certificate() const;

  struct Impl;
  Impl& impl() const { return *impl_; }  // the session cache is behind a lock

 private:
  explicit TlsClientContext(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::net
