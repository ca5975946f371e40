// The TLS of a configuration: a context for each listener and upstream that speaks it, made of the
// files that the configuration names. Part of the snapshot; made anew only where a setting or a
// file changed, so that sessions can be resumed and pooled connections go on.
#pragma once

#include <compare>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/reader.h"
#include "net/tls.h"

namespace heddle::gateway {

class TlsContexts {
 public:
  // By the name of a listener, an upstream; null: none, it is plain.
  std::shared_ptr<const net::TlsServerContext> listener(std::string_view name) const;
  std::shared_ptr<const net::TlsClientContext> upstream(std::string_view name) const;

 private:
  friend class TlsStore;
  std::map<std::string, std::shared_ptr<const net::TlsServerContext>, std::less<>> listeners_;
  std::map<std::string, std::shared_ptr<const net::TlsClientContext>, std::less<>> upstreams_;
};

// Makes the contexts and remembers what it made them of. Control thread only.
class TlsStore {
 public:
  struct Loaded {
    std::shared_ptr<const TlsContexts> contexts;  // null: there are errors
    std::vector<config::Problem> problems;        // a certificate out of its time is a warning
    bool changed = false;                         // against the load before
  };
  // Without errors the contexts are remembered as those in force.
  Loaded load(const config::Config& config);

  // The folders of all files that a configuration names.
  static std::vector<std::string> directories(const config::Config& config);

 private:
  // What tells one state of a file from another.
  struct Stamp {
    std::string file;
    std::int64_t modified = 0;  // nanoseconds; -1: not there
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    bool operator==(const Stamp&) const = default;
  };
  using Stamps = std::vector<Stamp>;
  struct Server {
    config::ListenerTls settings;
    bool http2 = false;
    bool http = false;
    Stamps stamps;
    std::shared_ptr<const net::TlsServerContext> context;
  };
  struct Client {
    config::UpstreamTls settings;
    Stamps stamps;
    std::shared_ptr<const net::TlsClientContext> context;
  };
  template <typename Entry>
  using Entries = std::map<std::string, Entry, std::less<>>;

  static Stamp stamp_of(const std::string& file);
  static Stamps stamps_of(const std::vector<std::string>& files);
  Result<Server> server(const config::Listener& listener);
  Result<Client> client(const config::Upstream& upstream);

  Entries<Server> servers_;
  Entries<Client> clients_;
  Entries<std::shared_ptr<const net::TlsTicketKeys>> ticket_keys_;  // of listeners, for good
};

}  // namespace heddle::gateway
