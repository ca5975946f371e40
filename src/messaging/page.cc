#include "messaging/page.h"

#include "services/crypto.h"

namespace heddle::messaging {
namespace {

// 'sha256-…' of the page's only element of this name.
std::string source_of(const std::string& element) {
  const std::string opening = "<" + element + ">";
  const std::size_t begin = kPage.find(opening) + opening.size();
  const std::size_t end = kPage.find("</" + element + ">");
  const std::string digest =
      services::crypto_hash(services::HashAlgorithm::kSha256, kPage.substr(begin, end - begin));
  return "'sha256-" + services::base64_of(digest) + "'";
}

}  // namespace

const std::string& page_policy() {
  static const std::string policy =
      "default-src 'none'; script-src " + source_of("script") + "; style-src " +
      source_of("style") +
      "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
      "frame-ancestors 'none'; require-trusted-types-for 'script'";
  return policy;
}

}  // namespace heddle::messaging
