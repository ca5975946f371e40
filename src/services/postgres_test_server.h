// A PostgreSQL server of its own for tests: a cluster in a temporary folder, reached by a Unix
// socket there, with a superuser and passwords required. PostgreSQL does not run as root, so root
// becomes the user `postgres`, which Debian's package makes.
#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "services/test_support.h"

namespace heddle::services {

class PostgresTestServer {
 public:
  PostgresTestServer() {
    std::ofstream(folder_.path() + "/password") << "secret\n";
    if (geteuid() == 0) shell(fmt::format("chown -R postgres {}", folder_.path()));
    ready_ =
        command(fmt::format("initdb -D {0}/data -U admin --auth=scram-sha-256 "
                            "--pwfile={0}/password --encoding=UTF8 --no-sync --no-instructions",
                            folder_.path())) &&
        start();
  }
  ~PostgresTestServer() { stop(); }
  PostgresTestServer(const PostgresTestServer&) = delete;
  PostgresTestServer& operator=(const PostgresTestServer&) = delete;

  bool ready() const { return ready_; }
  bool start() {
    return command(
        fmt::format("pg_ctl -D {0}/data -l {0}/log -w -o \"-F -c listen_addresses= "
                    "-c unix_socket_directories={0}\" start",
                    folder_.path()));
  }
  bool stop() {
    return command(fmt::format("pg_ctl -D {}/data -m immediate stop", folder_.path()));
  }
  std::string url(const std::string& user = "admin", const std::string& password = "secret") const {
    return fmt::format("postgresql://{}:{}@/postgres?host={}", user, password, folder_.path());
  }

 private:
  static bool shell(const std::string& line) { return std::system(line.c_str()) == 0; }
  bool command(const std::string& line) {
    std::string binaries;
    for (const auto& version : std::filesystem::directory_iterator("/usr/lib/postgresql")) {
      binaries = version.path().string() + "/bin/";
    }
    // Away from folders that the user `postgres` may not enter.
    const std::string user = geteuid() == 0 ? "setpriv --reuid=postgres --clear-groups " : "";
    return shell(fmt::format("cd {0} && {1}{2}{3} >{0}/out 2>&1 || (cat {0}/out; false)",
                             folder_.path(), user, binaries, line));
  }

  TemporaryFolder folder_;
  bool ready_ = false;
};

}  // namespace heddle::services
