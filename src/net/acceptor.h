// Accepts connections of one listening socket on a worker. Worker thread only.
#pragma once

#include <memory>

#include "net/address.h"
#include "net/socket.h"

namespace heddle::net {

class Worker;

class Acceptor {
 public:
  class Observer {
   public:
    virtual void on_accept(Fd fd, const SocketAddress& remote) = 0;

   protected:
    ~Observer() = default;
  };

  Acceptor(Worker& worker, Fd listening, Observer& observer);
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;

  void start();
  // Takes what the kernel already queued, then closes the socket.
  void stop();

 private:
  struct Impl;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::net
