#include "http/websocket.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <string>
#include <string_view>

namespace heddle::http {
namespace {

// RFC 6455 section 1.3.
constexpr std::string_view kGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

void add_base64(HeaderMap& headers, std::string_view name, const unsigned char* bytes,
                std::size_t size) {
  std::array<unsigned char, 64> text{};
  const int length = EVP_EncodeBlock(text.data(), bytes, static_cast<int>(size));
  headers.add(name, {reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(length)});
}

}  // namespace

void add_websocket_key(HeaderMap& headers) {
  std::array<unsigned char, 16> nonce{};
  RAND_bytes(nonce.data(), static_cast<int>(nonce.size()));
  add_base64(headers, "sec-websocket-key", nonce.data(), nonce.size());
}

void make_switching_protocols(Head& response, const HeaderMap& request) {
  HeaderMap& headers = response.headers;
  headers.set_value_at(0, "101");
  headers.remove("content-length");
  headers.add_view("connection", "upgrade");
  headers.add("upgrade", request.get("upgrade").value_or("websocket"));
  response.upgrade = true;
  const auto key = request.get("sec-websocket-key");
  if (!key) return;
  const std::string text = std::string(*key).append(kGuid);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
  headers.remove("sec-websocket-accept");
  add_base64(headers, "sec-websocket-accept", digest.data(), size);
}

}  // namespace heddle::http
