// Accepts connections of one listening socket on a worker. Worker thread only.
#pragma once

#include <chrono>
#include <memory>

#include "net/address.h"
#include "net/socket.h"

namespace heddle::net {

class Worker;

class Acceptor {
 public:
  static constexpr std::chrono::milliseconds kLastHandshakes{2};

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
  // No client may begin to connect from here on. Those that have begun are accepted, which takes
  // kLastHandshakes: were the socket closed at once, the kernel would reset the connections that
  // came since the last look, and those whose handshake is under way.
  void stop();
  void close();  // at once: the kernel resets what it has queued
  // The socket, with what is queued: another acceptor goes on with it. None when it was stopped.
  Fd release();
  bool open() const;

 private:
  struct Impl;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
  std::unique_ptr<Impl> impl_;
};

}  // namespace heddle::net
