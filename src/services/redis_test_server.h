// A real redis-server for a test: on a port of its own, with a password, without a disk.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "http/test_support.h"
#include "services/test_support.h"

namespace heddle::services {

class RedisTestServer {
 public:
  RedisTestServer() {
    http::testing::PeerListener reserved;  // a free port
    port_ = reserved.address().substr(reserved.address().rfind(':') + 1);
  }
  ~RedisTestServer() { stop(); }
  RedisTestServer(const RedisTestServer&) = delete;
  RedisTestServer& operator=(const RedisTestServer&) = delete;
  // Whether it came up; it answers then.
  bool start() {
    return run(
        "redis-server --port {1} --bind 127.0.0.1 --requirepass secret --save '' --dir {0} "
        "--daemonize yes --pidfile {0}/pid --logfile {0}/log && "
        "timeout 20 sh -c 'until redis-cli -p {1} --no-auth-warning -a secret ping "
        "2>&1 | grep -q PONG; do sleep 0.02; done'");
  }
  void stop() { run("test -f {0}/pid && kill -9 $(cat {0}/pid) && rm {0}/pid"); }
  // It takes connections and requests, and answers nothing.
  void pause() { run("kill -STOP $(cat {0}/pid)"); }
  void resume() { run("kill -CONT $(cat {0}/pid)"); }
  // Whether the shell could run redis-cli with these arguments.
  bool run_cli(const std::string& arguments) {
    return std::system(fmt::format("redis-cli -p {} --no-auth-warning -a secret {} >{}/out 2>&1",
                                   port_, arguments, folder_.path())
                           .c_str()) == 0;
  }
  std::string url(const std::string& password = "secret") const {
    return fmt::format("redis://:{}@localhost:{}/1", password, port_);
  }

 private:
  bool run(fmt::format_string<const std::string&, const std::string&> command) const {
    return std::system(fmt::format(command, folder_.path(), port_).c_str()) == 0;
  }

  TemporaryFolder folder_;
  std::string port_;
};

}  // namespace heddle::services
