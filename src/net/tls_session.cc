#include "net/tls_session.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace heddle::net {
namespace {

constexpr std::size_t kRecord = SSL3_RT_MAX_PLAIN_LENGTH;
// Plaintext that is sealed before the first of it leaves, and how much may wait sealed: a peer that
// asks without reading gets no more.
constexpr std::size_t kSealAtOnce = 2 * kRecord;
constexpr std::size_t kKeptCapacity = 512;
constexpr std::size_t kMaxWaiting = std::size_t{256} * 1024;

bool is_ip_address(const std::string& name) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return inet_pton(AF_INET, name.c_str(), bytes.data()) == 1 ||
         inet_pton(AF_INET6, name.c_str(), bytes.data()) == 1;
}

// Of OpenSSL's reason.
TlsFailure kind_of_failure(int reason) {
  switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return TlsFailure::kPlainHttp;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
      return TlsFailure::kNotTls;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_WRONG_SSL_VERSION:
      return TlsFailure::kVersion;
    case SSL_R_NO_SHARED_CIPHER:
      return TlsFailure::kCipher;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::kAlpn;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return TlsFailure::kCertificate;
    default:
      return reason > SSL_AD_REASON_OFFSET ? TlsFailure::kRefused : TlsFailure::kProtocol;
  }
}

// What tells which certificate it was: `(it is of "CN=api", for api.internal)`.
std::string description(const TlsCertificate& certificate) {
  std::string out = " (it is of \"" + certificate.subject + '"';
  const auto& names = certificate.dns_names;
  if (!names.empty()) out += ", for";
  for (std::size_t i = 0; i < std::min<std::size_t>(names.size(), 3); ++i) {
    out += (i == 0 ? " " : ", ") + names[i];
  }
  return out + ')';
}

}  // namespace

// OpenSSL's view of the transport.
struct TlsBio {
  static int write(BIO* bio, const char* data, int size) {
    TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    if (session.sealed_.size() - session.sealed_sent_ > kMaxWaiting) {
      BIO_set_retry_write(bio);
      return -1;
    }
    session.sealed_.insert(session.sealed_.end(), data, data + size);
    return size;
  }

  static int read(BIO* bio, char* data, int size) {
    TlsSession& session = *static_cast<TlsSession*>(BIO_get_data(bio));
    BIO_clear_retry_flags(bio);
    const ssize_t count = session.transport_.pull(data, static_cast<std::size_t>(size));
    if (count > 0) return static_cast<int>(count);
    if (count == 0) {
      session.eof_ = true;
      return 0;
    }
    if (count == -EAGAIN) {
      BIO_set_retry_read(bio);
    } else {
      session.io_error_ = static_cast<int>(-count);
    }
    return -1;
  }

  static long control(BIO* bio, int command, long /*number*/, void* /*pointer*/) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return static_cast<TlsSession*>(BIO_get_data(bio))->eof_ ? 1 : 0;
    return 0;
  }

  static BIO* create(TlsSession& session) {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "heddle stream");
      BIO_meth_set_write(made, write);
      BIO_meth_set_read(made, read);
      BIO_meth_set_ctrl(made, control);
      return made;
    }();
    BIO* const bio = BIO_new(method);
    BIO_set_data(bio, &session);
    BIO_set_init(bio, 1);
    return bio;
  }
};

TlsSession::TlsSession(Contexts contexts, TlsTransport& transport)
    : contexts_(std::move(contexts)), transport_(transport) {
  SSL_CTX* const ctx = contexts_.server ? contexts_.server->impl().ctxs.front().get()
                                        : contexts_.client->impl().ctx.get();
  ssl_.reset(SSL_new(ctx));
  BIO* const bio = TlsBio::create(*this);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  if (contexts_.server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsSession::~TlsSession() = default;

void TlsSession::set_server_name(const std::string& name, const std::string& address) {
  TlsClientContext::Impl& impl = contexts_.client->impl();
  session_key_ = name + '|' + address;
  const bool ip = is_ip_address(name);
  if (!ip && !name.empty()) SSL_set_tlsext_host_name(ssl_.get(), name.c_str());
  if (impl.verify) {
    if (ip) {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl_.get()), name.c_str());
    } else {
      SSL_set_hostflags(ssl_.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
      SSL_set1_host(ssl_.get(), name.c_str());
    }
  }
  if (const SslSessionPtr session = impl.take_session(session_key_)) {
    SSL_set_session(ssl_.get(), session.get());
  }
}

void TlsSession::offer(std::span<const std::string_view> alpn) {
  const std::string wire = alpn_wire(alpn);
  const auto* const bytes = reinterpret_cast<const unsigned char*>(wire.data());
  SSL_set_alpn_protos(ssl_.get(), bytes, static_cast<unsigned>(wire.size()));
}

std::chrono::nanoseconds TlsSession::handshake_timeout() const {
  return contexts_.server ? contexts_.server->impl().handshake_timeout
                          : contexts_.client->impl().handshake_timeout;
}

int TlsSession::on_new_session(SSL* ssl, SSL_SESSION* session) {
  const auto* const self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
  if (self == nullptr || !self->contexts_.client) return 0;
  self->contexts_.client->impl().keep_session(self->session_key_, SslSessionPtr(session));
  return 1;  // the reference is kept
}

// OpenSSL forgets the certificate that it does not trust, and the operator must know which it was.
int TlsSession::on_verified(int trusted, X509_STORE_CTX* state) {
  if (trusted == 1) return 1;
  auto* const ssl =
      static_cast<SSL*>(X509_STORE_CTX_get_ex_data(state, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const self = static_cast<TlsSession*>(SSL_get_app_data(ssl));
  if (self != nullptr) {
    self->distrusted_ = certificate_facts(X509_STORE_CTX_get_current_cert(state));
  }
  return 0;
}

TlsSession::Status TlsSession::shake_hands() {
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) {
    describe();
    flush();
    return Status::kDone;
  }
  const int kind = SSL_get_error(ssl_.get(), result);
  if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
    flush();
    return Status::kWait;
  }
  explain_failed_handshake();
  flush();  // the alert
  return Status::kFailed;
}

void TlsSession::explain_failed_handshake() {
  if (io_error_ != 0) {
    failure_ = TlsFailure::kClosed;
    error_ = std::strerror(io_error_);  // NOLINT(concurrency-mt-unsafe): glibc's is safe
  } else if (eof_) {
    failure_ = TlsFailure::kClosed;
    error_ = "the peer closed the connection during the handshake";
  } else {
    failure_ = kind_of_failure(ERR_GET_REASON(ERR_peek_error()));
    error_ = take_openssl_error("handshake failed");
    if (failure_ == TlsFailure::kNotTls) error_ = "the peer does not speak TLS (" + error_ + ")";
    if (failure_ == TlsFailure::kRefused) error_ = "the peer refused: " + error_;
    const long verdict = SSL_get_verify_result(ssl_.get());
    if (verdict != X509_V_OK) {
      error_ += ": ";
      error_ += X509_verify_cert_error_string(verdict);
    }
    if (distrusted_ != nullptr) error_ += description(*distrusted_);
  }
  ERR_clear_error();
}

void TlsSession::time_out() {
  failure_ = TlsFailure::kTimeout;
  error_ = "the handshake took too long";
}

void TlsSession::describe() {
  auto info = std::make_shared<TlsInfo>();
  SSL* const ssl = ssl_.get();
  info->version = SSL_get_version(ssl);
  info->cipher = SSL_get_cipher_name(ssl);
  info->resumed = SSL_session_reused(ssl) == 1;
  if (const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) {
    info->server_name = name;
    std::ranges::transform(info->server_name, info->server_name.begin(), [](char c) {
      return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
  }
  const unsigned char* alpn = nullptr;
  unsigned alpn_size = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
  if (alpn_size > 0) info->alpn.assign(alpn, alpn + alpn_size);
  info->peer = certificate_facts(SSL_get0_peer_certificate(ssl));
  if (contexts_.server) {
    info->local = contexts_.server->impl().shown_by(ssl);
    info->mutual = info->peer != nullptr;
  } else {
    info->local = contexts_.client->impl().local;
    info->mutual = info->local != nullptr && SSL_get_certificate(ssl) != nullptr;
  }
  info_ = std::move(info);
}

TlsSession::Read TlsSession::read(char* data, std::size_t size) {
  std::size_t filled = 0;
  while (filled < size && ended_ == Status::kDone) {
    ERR_clear_error();
    std::size_t count = 0;
    const int result = SSL_read_ex(ssl_.get(), data + filled, size - filled, &count);
    if (result != 1) {
      ended_ = explain(result);
      break;
    }
    filled += count;
  }
  if (sealed_.size() > sealed_sent_) flush();
  if (ended_ == Status::kWait) {
    ended_ = Status::kDone;
    if (filled == 0) return {Status::kWait};
  }
  if (filled > 0) return {Status::kDone, filled};
  return {ended_, 0, end_error_};
}

TlsSession::Status TlsSession::explain(int result) {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
      return Status::kWait;
    case SSL_ERROR_ZERO_RETURN:
      return Status::kEnd;
    default:
      // Without a close_notify what came may have been cut off by anybody.
      end_error_ = io_error_ != 0 ? io_error_ : eof_ ? ECONNRESET : EPROTO;
      send_error_ = send_error_ != 0 ? send_error_ : end_error_;
      ERR_clear_error();
      return Status::kFailed;
  }
}

bool TlsSession::flush() {
  while (sealed_sent_ < sealed_.size()) {
    const ssize_t count =
        transport_.push(sealed_.data() + sealed_sent_, sealed_.size() - sealed_sent_);
    if (count < 0) {
      if (count != -EAGAIN) send_error_ = static_cast<int>(-count);
      return false;
    }
    sealed_sent_ += static_cast<std::size_t>(count);
  }
  // An idle connection keeps no room for records.
  if (sealed_.capacity() > kKeptCapacity) std::vector<char>().swap(sealed_);
  sealed_.clear();
  sealed_sent_ = 0;
  return true;
}

// Small parts share a record; a part that fills one is sealed where it stands.
bool TlsSession::seal(std::span<const iovec> parts, std::size_t offset) {
  std::array<char, kRecord> gathered;
  std::size_t count = 0;
  const auto put = [this](const char* data, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
      std::size_t written = 0;
      if (SSL_write_ex(ssl_.get(), data + done, size - done, &written) != 1) return false;
      done += written;
    }
    unreported_ += size;
    return true;
  };
  for (const iovec& part : parts) {
    if (offset >= part.iov_len) {
      offset -= part.iov_len;
      continue;
    }
    const char* data = static_cast<const char*>(part.iov_base) + offset;
    std::size_t left = part.iov_len - offset;
    offset = 0;
    while (left > 0) {
      const bool direct = count == 0 && left >= kRecord;
      const std::size_t size = std::min(left, kRecord - count);
      if (direct) {
        if (!put(data, size)) return false;
      } else {
        std::memcpy(gathered.data() + count, data, size);
        count += size;
        if (count == kRecord && !put(gathered.data(), std::exchange(count, 0))) return false;
      }
      data += size;
      left -= size;
      if (unreported_ >= kSealAtOnce) return true;
    }
  }
  return count == 0 || put(gathered.data(), count);
}

// Bytes count as taken when their records are with the transport. Until then they are only sealed,
// and skipped when the caller comes with them again.
ssize_t TlsSession::send(std::span<const iovec> parts) {
  std::size_t wanted = 0;
  for (const iovec& part : parts) wanted += part.iov_len;
  std::size_t taken = 0;
  for (;;) {
    const bool flushed = flush();
    if (send_error_ != 0) return -send_error_;
    if (!flushed) return taken > 0 ? static_cast<ssize_t>(taken) : -EAGAIN;
    taken = std::min(wanted, taken + std::exchange(unreported_, 0));
    if (taken == wanted) return static_cast<ssize_t>(taken);
    ERR_clear_error();
    if (!seal(parts, taken)) {
      send_error_ = EPROTO;
      ERR_clear_error();
    }
  }
}

void TlsSession::finish() {
  if (info_ == nullptr || finished_ || send_error_ != 0) return;
  finished_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
  flush();
}

bool TlsSession::is_quiet() {
  if (ended_ != Status::kDone) return false;
  char byte = 0;
  ERR_clear_error();
  const int result = SSL_peek(ssl_.get(), &byte, 1);
  return result <= 0 && explain(result) == Status::kWait;
}

}  // namespace heddle::net
