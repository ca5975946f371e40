#include <openssl/err.h>

#include "net/tls_openssl.h"
#include "net/tls_session.h"

namespace heddle::net {

SslSessionPtr TlsClientContext::Impl::take_session(const std::string& key) {
  const std::lock_guard lock(mutex);
  const auto found = sessions.find(key);
  if (found == sessions.end() || found->second.empty()) return nullptr;
  SslSessionPtr& newest = found->second.back();
  if (SSL_SESSION_get_protocol_version(newest.get()) < TLS1_3_VERSION) {
    SSL_SESSION_up_ref(newest.get());
    return SslSessionPtr(newest.get());
  }
  SslSessionPtr taken = std::move(newest);
  found->second.pop_back();
  return taken;
}

void TlsClientContext::Impl::keep_session(const std::string& key, SslSessionPtr session) {
  const std::lock_guard lock(mutex);
  if (sessions.size() >= kMaxKeys && !sessions.contains(key)) sessions.erase(sessions.begin());
  std::deque<SslSessionPtr>& kept = sessions[key];
  kept.push_back(std::move(session));
  if (kept.size() > kMaxSessions) kept.pop_front();
}

TlsClientContext::TlsClientContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsClientContext::~TlsClientContext() = default;

const std::shared_ptr<const TlsCertificate>& TlsClientContext::certificate() const {
  return impl_->local;
}

Result<std::shared_ptr<const TlsClientContext>> TlsClientContext::create(
    const TlsClientOptions& options) {
  auto ctx = make_ssl_ctx(TLS_client_method(), options.min_version);
  if (!ctx) return std::unexpected(std::move(ctx.error()));
  auto impl = std::make_unique<Impl>();
  if (!options.certificate.cert_file.empty()) {
    if (auto used = use_key_files(ctx->get(), options.certificate); !used) {
      return std::unexpected(std::move(used.error()));
    }
    impl->local = certificate_facts(SSL_CTX_get0_certificate(ctx->get()));
  }
  if (options.verify) {
    if (!options.ca_file.empty()) {
      if (auto trusted = trust_file(ctx->get(), options.ca_file); !trusted) {
        return std::unexpected(std::move(trusted.error()));
      }
    } else if (SSL_CTX_set_default_verify_paths(ctx->get()) != 1) {
      return fail(ErrorKind::kUnavailable, "the system's certificate authorities cannot be loaded");
    }
    SSL_CTX_set_verify(ctx->get(), SSL_VERIFY_PEER, TlsSession::on_verified);
  }
  ERR_clear_error();
  // The sessions are kept in Impl, by address; OpenSSL only tells of new ones.
  SSL_CTX_set_session_cache_mode(ctx->get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL |
                                                 SSL_SESS_CACHE_NO_AUTO_CLEAR);
  SSL_CTX_sess_set_new_cb(ctx->get(), TlsSession::on_new_session);
  impl->ctx = std::move(*ctx);
  impl->verify = options.verify;
  impl->handshake_timeout = options.handshake_timeout;
  return std::shared_ptr<const TlsClientContext>(new TlsClientContext(std::move(impl)));
}

}  // namespace heddle::net
