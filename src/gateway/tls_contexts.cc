#include "gateway/tls_contexts.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

namespace heddle::gateway {
namespace {

using Severity = config::Problem::Severity;

std::vector<std::string> files_of(const config::ListenerTls& tls) {
  std::vector<std::string> files = {tls.cert_file, tls.key_file, tls.client_ca_file};
  for (const config::KeyFiles& more : tls.certificates) {
    files.push_back(more.cert_file);
    files.push_back(more.key_file);
  }
  std::erase(files, "");
  return files;
}

std::vector<std::string> files_of(const config::UpstreamTls& tls) {
  std::vector<std::string> files = {tls.ca_file, tls.cert_file, tls.key_file};
  std::erase(files, "");
  return files;
}

net::TlsKeyFiles key_files(const std::string& cert_file, const std::string& key_file) {
  return {.cert_file = cert_file, .key_file = key_file.empty() ? cert_file : key_file};
}

net::TlsVersion version(const std::string& text) {
  return text == "1.3" ? net::TlsVersion::kTls13 : net::TlsVersion::kTls12;
}

std::string hint_for(const Error& error) {
  if (error.kind == ErrorKind::kNotFound) {
    return "paths are relative to the configuration file, and Heddle's user must be able to read "
           "it";
  }
  return "openssl x509 -noout -text -in FILE shows what a certificate is";
}

std::string day(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  gmtime_r(&time, &parts);
  std::string out(16, '\0');
  out.resize(std::strftime(out.data(), out.size(), "%Y-%m-%d", &parts));
  return out;
}

// Clients and servers refuse a certificate out of its time; the rest of the configuration may work.
void check_time(const net::TlsCertificate& certificate, const config::Location& location,
                const std::string& path, std::vector<config::Problem>& problems) {
  const auto now = static_cast<std::int64_t>(std::time(nullptr));
  const bool over = certificate.not_after != 0 && certificate.not_after < now;
  const bool early = certificate.not_before > now;
  if (!over && !early) return;
  problems.push_back(
      {.severity = Severity::kWarning,
       .location = location,
       .path = path,
       .message = "the certificate of \"" + certificate.subject +
                  (over ? "\" expired on " + day(certificate.not_after)
                        : "\" is not valid before " + day(certificate.not_before)),
       .hint = over ? "renew it; a changed file is taken without a restart" : "check the clock"});
}

}  // namespace

std::shared_ptr<const net::TlsServerContext> TlsContexts::listener(std::string_view name) const {
  const auto found = listeners_.find(name);
  return found == listeners_.end() ? nullptr : found->second;
}

std::shared_ptr<const net::TlsClientContext> TlsContexts::upstream(std::string_view name) const {
  const auto found = upstreams_.find(name);
  return found == upstreams_.end() ? nullptr : found->second;
}

TlsStore::Stamp TlsStore::stamp_of(const std::string& file) {
  struct stat facts{};
  Stamp out{.file = file, .modified = -1};
  if (::stat(file.c_str(), &facts) != 0) return out;
  out.modified = facts.st_mtim.tv_sec * 1'000'000'000 + facts.st_mtim.tv_nsec;
  out.inode = facts.st_ino;
  out.size = facts.st_size;
  return out;
}

TlsStore::Stamps TlsStore::stamps_of(const std::vector<std::string>& files) {
  Stamps out;
  out.reserve(files.size());
  for (const std::string& file : files) out.push_back(stamp_of(file));
  return out;
}

Result<TlsStore::Server> TlsStore::server(const config::Listener& listener) {
  const config::ListenerTls& tls = listener.tls;
  Server out{.settings = tls,
             .http2 = listener.http2.enabled,
             .http = listener.protocol == "https",
             .stamps = stamps_of(files_of(tls)),
             .context = nullptr};
  const auto known = servers_.find(listener.name);
  if (known != servers_.end() && known->second.settings == tls &&
      known->second.http2 == out.http2 && known->second.http == out.http &&
      known->second.stamps == out.stamps) {
    return known->second;
  }
  auto& keys = ticket_keys_[listener.name];
  if (keys == nullptr) {
    auto made = net::TlsTicketKeys::create();
    if (!made) return std::unexpected(std::move(made.error()));
    keys = std::move(*made);
  }
  net::TlsServerOptions options;
  options.certificates.push_back(key_files(tls.cert_file, tls.key_file));
  for (const config::KeyFiles& more : tls.certificates) {
    options.certificates.push_back(key_files(more.cert_file, more.key_file));
  }
  options.client_ca_file = tls.client_ca_file;
  options.client_certificate_optional = tls.client_certificate == "optional";
  options.min_version = version(tls.min_version);
  if (out.http && out.http2) options.alpn.emplace_back("h2");
  if (out.http) options.alpn.emplace_back("http/1.1");
  options.handshake_timeout = tls.handshake_timeout;
  options.ticket_keys = keys;
  auto context = net::TlsServerContext::create(options);
  if (!context) return std::unexpected(std::move(context.error()));
  out.context = std::move(*context);
  return out;
}

Result<TlsStore::Client> TlsStore::client(const config::Upstream& upstream) {
  const config::UpstreamTls& tls = upstream.tls;
  Client out{.settings = tls, .stamps = stamps_of(files_of(tls)), .context = nullptr};
  const auto known = clients_.find(upstream.name);
  if (known != clients_.end() && known->second.settings == tls &&
      known->second.stamps == out.stamps) {
    return known->second;
  }
  net::TlsClientOptions options;
  options.ca_file = tls.ca_file;
  options.verify = tls.verify;
  if (!tls.cert_file.empty()) options.certificate = key_files(tls.cert_file, tls.key_file);
  options.min_version = version(tls.min_version);
  // Whoever connects has a timer of its own that the handshake is part of; that one names the
  // setting.
  options.handshake_timeout = 2 * upstream.limits.connect_timeout;
  auto context = net::TlsClientContext::create(options);
  if (!context) return std::unexpected(std::move(context.error()));
  out.context = std::move(*context);
  return out;
}

TlsStore::Loaded TlsStore::load(const config::Config& config) {
  Loaded out;
  auto contexts = std::make_shared<TlsContexts>();
  Entries<Server> servers;
  Entries<Client> clients;
  bool failed = false;
  const auto refuse = [&](Error error, const config::Location& location, const std::string& path) {
    failed = true;
    std::string hint = hint_for(error);
    out.problems.push_back({.severity = Severity::kError,
                            .location = location,
                            .path = path,
                            .message = std::move(error.message),
                            .hint = std::move(hint)});
  };
  for (std::size_t i = 0; i < config.listeners.size(); ++i) {
    const config::Listener& listener = config.listeners[i];
    if (!listener.tls.enabled) continue;
    const std::string path = "listeners[" + std::to_string(i) + "].tls";
    auto made = server(listener);
    if (!made) {
      refuse(std::move(made.error()), listener.location, path);
      continue;
    }
    for (const auto& certificate : made->context->certificates()) {
      check_time(*certificate, listener.location, path, out.problems);
    }
    contexts->listeners_[listener.name] = made->context;
    servers[listener.name] = std::move(*made);
  }
  for (std::size_t i = 0; i < config.upstreams.size(); ++i) {
    const config::Upstream& upstream = config.upstreams[i];
    if (!upstream.tls.enabled) continue;
    const std::string path = "upstreams[" + std::to_string(i) + "].tls";
    auto made = client(upstream);
    if (!made) {
      refuse(std::move(made.error()), upstream.location, path);
      continue;
    }
    if (const auto& own = made->context->certificate()) {
      check_time(*own, upstream.location, path, out.problems);
    }
    contexts->upstreams_[upstream.name] = made->context;
    clients[upstream.name] = std::move(*made);
  }
  if (failed) return out;
  const auto same = [](const auto& left, const auto& right) {
    return left.second.context == right.second.context;
  };
  out.changed =
      !std::ranges::equal(servers, servers_, same) || !std::ranges::equal(clients, clients_, same);
  servers_ = std::move(servers);
  clients_ = std::move(clients);
  out.contexts = std::move(contexts);
  return out;
}

std::vector<std::string> TlsStore::directories(const config::Config& config) {
  std::vector<std::string> out;
  const auto add = [&out](const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      const std::string folder = std::filesystem::path(file).parent_path().string();
      out.push_back(folder.empty() ? "." : folder);
    }
  };
  for (const config::Listener& listener : config.listeners) {
    if (listener.tls.enabled) add(files_of(listener.tls));
  }
  for (const config::Upstream& upstream : config.upstreams) {
    if (upstream.tls.enabled) add(files_of(upstream.tls));
  }
  std::ranges::sort(out);
  const auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

}  // namespace heddle::gateway
