#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <fstream>
#include <iterator>

#include "net/tls_openssl.h"
#include "net/tls_session.h"

namespace heddle::net {
namespace {

constexpr std::size_t kTicketKeyBytes = 80;  // what OpenSSL 3 takes: name, HMAC key, AES key

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

int on_server_name(SSL* ssl, int* /*alert*/, void* argument) {
  const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const auto& impl = *static_cast<const TlsServerContext::Impl*>(argument);
  SSL_set_SSL_CTX(ssl, impl.choose(lower(name)));
  return SSL_TLSEXT_ERR_OK;
}

int on_alpn(SSL* /*ssl*/, const unsigned char** out, unsigned char* out_size,
            const unsigned char* offered, unsigned offered_size, void* argument) {
  const auto& impl = *static_cast<const TlsServerContext::Impl*>(argument);
  unsigned char* chosen = nullptr;
  const auto* const ours = reinterpret_cast<const unsigned char*>(impl.alpn.data());
  const int found = SSL_select_next_proto(
      &chosen, out_size, ours, static_cast<unsigned>(impl.alpn.size()), offered, offered_size);
  *out = chosen;
  // Nothing in common ends the handshake (RFC 7301 section 3.2).
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// A session that was agreed on under other rules for client certificates must not be resumed: the
// identifier that binds sessions is made of these rules.
Result<void> bind_sessions(SSL_CTX* ctx, const TlsServerOptions& options) {
  std::string rules = options.client_certificate_optional ? "optional" : "required";
  if (options.client_ca_file.empty()) {
    rules = "none";
  } else {
    std::ifstream file(options.client_ca_file, std::ios::binary);
    rules.append(std::istreambuf_iterator<char>(file), {});
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (EVP_Digest(rules.data(), rules.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      SSL_CTX_set_session_id_context(ctx, digest.data(), size) != 1) {
    return fail(ErrorKind::kInternal, "TLS: " + take_openssl_error("no session identifier"));
  }
  return {};
}

Result<void> ask_for_certificates(SSL_CTX* ctx, const TlsServerOptions& options) {
  if (options.client_ca_file.empty()) return {};
  if (auto trusted = trust_file(ctx, options.client_ca_file); !trusted) return trusted;
  // The names of the authorities are sent, so that clients can choose among their certificates.
  SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(options.client_ca_file.c_str()));
  const int required = options.client_certificate_optional ? 0 : SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | required, TlsSession::on_verified);
  return {};
}

Result<SslCtxPtr> make_one(const TlsServerOptions& options, const TlsKeyFiles& files,
                           TlsServerContext::Impl& impl) {
  auto made = make_ssl_ctx(TLS_server_method(), options.min_version);
  if (!made) return made;
  SSL_CTX* const ctx = made->get();
  if (auto used = use_key_files(ctx, files); !used) return std::unexpected(used.error());
  if (auto asked = ask_for_certificates(ctx, options); !asked) {
    return std::unexpected(asked.error());
  }
  if (auto bound = bind_sessions(ctx, options); !bound) return std::unexpected(bound.error());
  // Resumption by tickets alone: they work on every worker without a shared cache.
  SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
  if (options.ticket_keys) {
    std::vector<unsigned char> keys = options.ticket_keys->bytes();
    SSL_CTX_set_tlsext_ticket_keys(ctx, keys.data(), static_cast<long>(keys.size()));
    OPENSSL_cleanse(keys.data(), keys.size());
  }
  SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
  SSL_CTX_set_tlsext_servername_arg(ctx, &impl);
  if (!impl.alpn.empty()) SSL_CTX_set_alpn_select_cb(ctx, on_alpn, &impl);
  return made;
}

std::string common_name(X509* certificate) {
  std::array<char, 256> text{};
  const int size = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                             text.data(), text.size());
  return size > 0 ? lower(std::string(text.data(), static_cast<std::size_t>(size))) : "";
}

}  // namespace

Result<std::shared_ptr<const TlsTicketKeys>> TlsTicketKeys::create() {
  std::vector<unsigned char> bytes(kTicketKeyBytes);
  if (RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    return fail(ErrorKind::kInternal, "TLS: " + take_openssl_error("no random bytes"));
  }
  return std::shared_ptr<const TlsTicketKeys>(new TlsTicketKeys(std::move(bytes)));
}

TlsTicketKeys::~TlsTicketKeys() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

SSL_CTX* TlsServerContext::Impl::choose(const std::string& server_name) const {
  if (const auto found = exact.find(server_name); found != exact.end()) {
    return ctxs[found->second].get();
  }
  // A wildcard stands for exactly one label.
  if (const std::size_t dot = server_name.find('.'); dot != std::string::npos) {
    const auto found = wildcards.find(std::string_view(server_name).substr(dot));
    if (found != wildcards.end()) return ctxs[found->second].get();
  }
  return ctxs.front().get();
}

std::shared_ptr<const TlsCertificate> TlsServerContext::Impl::shown_by(const SSL* ssl) const {
  const SSL_CTX* const used = SSL_get_SSL_CTX(ssl);
  for (std::size_t i = 0; i < ctxs.size(); ++i) {
    if (ctxs[i].get() == used) return certificates[i];
  }
  return nullptr;
}

TlsServerContext::TlsServerContext(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsServerContext::~TlsServerContext() = default;

const std::vector<std::shared_ptr<const TlsCertificate>>& TlsServerContext::certificates() const {
  return impl_->certificates;
}

Result<std::shared_ptr<const TlsServerContext>> TlsServerContext::create(
    const TlsServerOptions& options) {
  if (options.certificates.empty()) {
    return fail(ErrorKind::kInvalidArgument, "TLS needs a certificate: cert_file and key_file");
  }
  auto impl = std::make_unique<Impl>();
  impl->alpn = alpn_wire(options.alpn);
  impl->handshake_timeout = options.handshake_timeout;
  TlsServerOptions shared = options;
  if (!shared.ticket_keys) {
    auto keys = TlsTicketKeys::create();
    if (!keys) return std::unexpected(std::move(keys.error()));
    shared.ticket_keys = std::move(*keys);
  }
  for (const TlsKeyFiles& files : shared.certificates) {
    auto ctx = make_one(shared, files, *impl);
    if (!ctx) return std::unexpected(std::move(ctx.error()));
    X509* const certificate = SSL_CTX_get0_certificate(ctx->get());
    auto facts = certificate_facts(certificate);
    const std::size_t index = impl->ctxs.size();
    std::vector<std::string> names = facts->dns_names;
    if (names.empty()) names.push_back(common_name(certificate));
    for (const std::string& name : names) {
      if (name.starts_with("*.")) {
        impl->wildcards.emplace(name.substr(1), index);
      } else {
        impl->exact.emplace(name, index);
      }
    }
    impl->ctxs.push_back(std::move(*ctx));
    impl->certificates.push_back(std::move(facts));
  }
  return std::shared_ptr<const TlsServerContext>(new TlsServerContext(std::move(impl)));
}

}  // namespace heddle::net
