#include "admin/authenticator.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <iterator>

#include "services/password.h"

namespace heddle::admin {
namespace {

constexpr std::size_t kMaxVerified = 256;
constexpr std::size_t kMaxAddresses = 10'000;
constexpr std::size_t kLongestHeader = 4096;

struct Credentials {
  std::string user;
  std::string password;
};

std::optional<Credentials> parse_basic(std::string_view header) {
  constexpr std::string_view kScheme = "basic ";
  if (header.size() < kScheme.size() || header.size() > kLongestHeader) return std::nullopt;
  for (std::size_t i = 0; i < kScheme.size(); ++i) {
    const char c = header[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c) != kScheme[i])
      return std::nullopt;
  }
  const std::string_view encoded = header.substr(header.find_first_not_of(' ', kScheme.size() - 1));
  std::string decoded(encoded.size(), '\0');
  std::size_t size = 0;
  const char* end = nullptr;
  for (const int variant :
       {sodium_base64_VARIANT_ORIGINAL, sodium_base64_VARIANT_ORIGINAL_NO_PADDING}) {
    if (sodium_base642bin(reinterpret_cast<unsigned char*>(decoded.data()), decoded.size(),
                          encoded.data(), encoded.size(), nullptr, &size, &end, variant) == 0 &&
        end == encoded.data() + encoded.size()) {
      decoded.resize(size);
      const std::size_t colon = decoded.find(':');
      if (colon == std::string::npos) return std::nullopt;
      return Credentials{decoded.substr(0, colon), decoded.substr(colon + 1)};
    }
  }
  return std::nullopt;
}

// One IPv6 client has a whole /64 to come from.
std::string network_of(std::string_view remote_ip) {
  std::string text(remote_ip);
  in6_addr address{};
  if (inet_pton(AF_INET6, text.c_str(), &address) != 1) return text;
  return {reinterpret_cast<const char*>(&address), 8};
}

std::chrono::seconds seconds_until(Nanoseconds then, Nanoseconds now) {
  return std::chrono::ceil<std::chrono::seconds>(std::chrono::nanoseconds(then - now));
}

}  // namespace

void Authenticator::Address::forget_failures_before(Nanoseconds time) {
  std::erase_if(failures, [&](Nanoseconds failure) { return failure <= time; });
}

Result<std::unique_ptr<Authenticator>> Authenticator::create(
    std::map<std::string, std::string> users) {
  if (sodium_init() < 0) return fail(ErrorKind::kInternal, "libsodium cannot be initialised");
  if (users.empty()) {
    return fail(ErrorKind::kInvalidArgument,
                "admin.auth is enabled but has no users; add `users: {name: \"$argon2id$…\"}`");
  }
  for (const auto& [user, hash] : users) {
    if (services::is_password_hash(hash)) continue;
    return fail(
        ErrorKind::kInvalidArgument,
        fmt::format("admin.auth.users.{}: not a password hash; Argon2 ($argon2id$…) and bcrypt "
                    "($2b$…) are understood, make one with `htpasswd -nbB {} PASSWORD`",
                    user, user));
  }
  return std::unique_ptr<Authenticator>(new Authenticator(std::move(users)));
}

Authenticator::Authenticator(std::map<std::string, std::string> users) : users_(std::move(users)) {
  randombytes_buf(key_.data(), key_.size());
}

std::optional<Authenticator::Decision> Authenticator::check(std::string_view authorization,
                                                            std::string_view remote_ip,
                                                            Nanoseconds now) {
  const std::lock_guard lock(mutex_);
  Address& address = address_of(remote_ip, now);
  // Before anything else: a locked address must not learn whether a guess would have been right.
  if (address.locked_until > now) {
    return Decision{Verdict::kLocked, seconds_until(address.locked_until, now), {}};
  }
  if (!parse_basic(authorization)) return Decision{};  // no guess was made: it does not count
  const Digest credentials = digest(authorization);
  if (const std::string* user = remembered(credentials))
    return Decision{Verdict::kAllowed, {}, *user};
  const auto same = std::ranges::find(address.under_way, credentials, &Attempt::digest);
  if (same != address.under_way.end()) {
    ++same->count;
    return std::nullopt;
  }
  address.forget_failures_before(now - to_nanoseconds(kWindow));
  // Guesses under way may all be wrong: sending many at once must not buy more than kMaxFailures.
  if (address.failures.size() + address.under_way.size() >= kMaxFailures) {
    return Decision{Verdict::kLocked, std::chrono::seconds(1), {}};
  }
  address.under_way.push_back({credentials, 1});
  return std::nullopt;
}

Authenticator::Decision Authenticator::verify(std::string_view authorization,
                                              std::string_view remote_ip, Nanoseconds now) {
  const Digest credentials = digest(authorization);
  const auto parsed = parse_basic(authorization);
  bool right = false;
  {
    const std::lock_guard lock(mutex_);
    right = remembered(credentials) != nullptr;  // another request with the same was faster
  }
  if (!right && parsed) right = verify_user(parsed->user, parsed->password);

  const std::lock_guard lock(mutex_);
  Address& address = address_of(remote_ip, now);
  bool last = true;
  if (const auto it = std::ranges::find(address.under_way, credentials, &Attempt::digest);
      it != address.under_way.end()) {
    last = --it->count == 0;
    if (last) address.under_way.erase(it);
  }
  if (right) {
    address.failures.clear();
    if (remembered(credentials) == nullptr) {
      if (verified_.size() == kMaxVerified) verified_.erase(verified_.begin());
      verified_.emplace_back(credentials, parsed->user);
    }
    return {Verdict::kAllowed, {}, parsed->user};
  }
  if (last) {
    address.forget_failures_before(now - to_nanoseconds(kWindow));
    address.failures.push_back(now);
    if (address.failures.size() >= kMaxFailures) {
      address.failures.clear();
      address.locked_until = now + to_nanoseconds(kLockOut);
    }
  }
  return {};
}

bool Authenticator::verify_user(const std::string& user, std::string_view password) const {
  const auto known = users_.find(user);
  if (known != users_.end()) return services::verify_password(known->second, password);
  // An unknown user costs what a known one costs: some user's hash is tried, always the same one
  // for the same name.
  const std::size_t index = digest(user)[0] % users_.size();
  services::verify_password(std::next(users_.begin(), static_cast<std::ptrdiff_t>(index))->second,
                            password);
  return false;
}

Authenticator::Digest Authenticator::digest(std::string_view text) const {
  Digest out{};
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()),
                     text.size(), key_.data(), key_.size());
  return out;
}

const std::string* Authenticator::remembered(const Digest& digest) const {
  const std::string* user = nullptr;
  for (const auto& [known, whose] : verified_) {
    if (sodium_memcmp(known.data(), digest.data(), digest.size()) == 0) user = &whose;
  }
  return user;
}

Authenticator::Address& Authenticator::address_of(std::string_view remote_ip, Nanoseconds now) {
  if (addresses_.size() >= kMaxAddresses) {
    const Nanoseconds window = now - to_nanoseconds(kWindow);
    std::erase_if(addresses_, [&](const auto& entry) {
      const Address& address = entry.second;
      return address.under_way.empty() && address.locked_until <= now &&
             std::ranges::all_of(address.failures, [&](Nanoseconds at) { return at <= window; });
    });
  }
  return addresses_[network_of(remote_ip)];
}

}  // namespace heddle::admin
