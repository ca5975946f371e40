// Asks a server to end what runs on a connection. libpq makes a connection of its own for that and
// waits for the server, for ever if that hangs; so each request has a thread that nobody waits for:
// no other call, and not the end of the process.
#pragma once

#include <libpq-fe.h>

#include <memory>

namespace heddle::services {

class PostgresCancel {
 public:
  explicit PostgresCancel(PGconn* connection);

  // False: it cannot be asked, as the connection is broken.
  explicit operator bool() const;
  // Does nothing while the request before is under way.
  void request();

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;
};

}  // namespace heddle::services
