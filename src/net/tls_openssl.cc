#include "net/tls_openssl.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <fstream>

namespace heddle::net {
namespace {

// TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3's own list is as it should
// be.
constexpr const char* kTls12Ciphers =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";

std::string subject_of(X509* certificate) {
  BIO* const out = BIO_new(BIO_s_mem());
  X509_NAME_print_ex(out, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  std::string subject(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  BIO_free(out);
  return subject;
}

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

void read_alternative_names(X509* certificate, TlsCertificate& facts) {
  auto* const names = static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(names, i);
    if (name->type != GEN_DNS && name->type != GEN_URI) continue;
    const ASN1_IA5STRING* const value =
        name->type == GEN_DNS ? name->d.dNSName : name->d.uniformResourceIdentifier;
    std::string text(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value)));
    if (name->type == GEN_DNS) {
      facts.dns_names.push_back(lower(std::move(text)));
    } else {
      facts.uri_names.push_back(std::move(text));
    }
  }
  GENERAL_NAMES_free(names);
}

std::string digest_of(X509* certificate) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(certificate, EVP_sha256(), digest.data(), &size) != 1) return {};
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += kHex[digest.at(i) >> 4U];
    out += kHex[digest.at(i) & 15U];
  }
  return out;
}

bool readable(const std::string& file) {
  return std::ifstream(file).good();
}

}  // namespace

std::string take_openssl_error(std::string_view otherwise) {
  std::string out(otherwise);
  if (const unsigned long code = ERR_get_error(); code != 0) {
    const char* const reason = ERR_reason_error_string(code);
    if (reason != nullptr) {
      out = reason;
    } else if (ERR_SYSTEM_ERROR(code)) {
      out = "system error " + std::to_string(ERR_GET_REASON(code));
    }
  }
  ERR_clear_error();
  return out;
}

std::shared_ptr<const TlsCertificate> certificate_facts(X509* certificate) {
  if (certificate == nullptr) return nullptr;
  auto facts = std::make_shared<TlsCertificate>();
  facts->subject = subject_of(certificate);
  facts->sha256 = digest_of(certificate);
  read_alternative_names(certificate, *facts);
  std::tm time{};
  if (ASN1_TIME_to_tm(X509_get0_notBefore(certificate), &time) == 1) {
    facts->not_before = timegm(&time);
  }
  if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time) == 1) {
    facts->not_after = timegm(&time);
  }
  return facts;
}

Result<SslCtxPtr> make_ssl_ctx(const SSL_METHOD* method, TlsVersion min_version) {
  SslCtxPtr ctx(SSL_CTX_new(method));
  if (!ctx) return fail(ErrorKind::kInternal, "TLS: " + take_openssl_error("no context"));
  SSL_CTX_set_options(ctx.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
  SSL_CTX_set_mode(ctx.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_read_ahead(ctx.get(), 1);
  const int version = min_version == TlsVersion::kTls13 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(ctx.get(), version) != 1 ||
      SSL_CTX_set_cipher_list(ctx.get(), kTls12Ciphers) != 1) {
    return fail(ErrorKind::kInternal, "TLS: " + take_openssl_error("no ciphers"));
  }
  return ctx;
}

Result<void> use_key_files(SSL_CTX* ctx, const TlsKeyFiles& files) {
  ERR_clear_error();
  for (const std::string* file : {&files.cert_file, &files.key_file}) {
    if (!readable(*file)) return fail(ErrorKind::kNotFound, *file + ": cannot be read");
  }
  if (SSL_CTX_use_certificate_chain_file(ctx, files.cert_file.c_str()) != 1) {
    return fail(ErrorKind::kInvalidArgument,
                files.cert_file + ": no PEM certificate (" + take_openssl_error("empty") + ")");
  }
  if (SSL_CTX_use_PrivateKey_file(ctx, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1) {
    const bool other = ERR_GET_REASON(ERR_peek_last_error()) == X509_R_KEY_VALUES_MISMATCH;
    const std::string reason = take_openssl_error("empty");
    if (other) {
      return fail(ErrorKind::kInvalidArgument,
                  files.key_file + ": is not the key of the certificate in " + files.cert_file);
    }
    return fail(ErrorKind::kInvalidArgument,
                files.key_file + ": no private key in PEM without a passphrase (" + reason + ")");
  }
  if (SSL_CTX_check_private_key(ctx) != 1) {
    ERR_clear_error();
    return fail(ErrorKind::kInvalidArgument,
                files.key_file + ": is not the key of the certificate in " + files.cert_file);
  }
  return {};
}

Result<void> trust_file(SSL_CTX* ctx, const std::string& ca_file) {
  ERR_clear_error();
  if (!readable(ca_file)) return fail(ErrorKind::kNotFound, ca_file + ": cannot be read");
  if (SSL_CTX_load_verify_file(ctx, ca_file.c_str()) != 1) {
    return fail(ErrorKind::kInvalidArgument,
                ca_file + ": no PEM certificates (" + take_openssl_error("empty") + ")");
  }
  return {};
}

}  // namespace heddle::net
