// One TCP connection on a worker, and the acceptor that makes them: the seam between the codecs and
// the event loop.
//
// At most one read and one wait for writability are under way; both complete through the Observer,
// inside a Worker::Scope. Sending is tried at once on the non-blocking descriptor. Worker thread
// only. No operation allocates.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>

#include "net/address.h"
#include "net/socket.h"

namespace heddle::net {

class Worker;

class TcpStream {
 public:
  class Observer {
   public:
    virtual void on_connect(int error) = 0;  // errno, 0 when connected
    virtual void on_read(std::size_t count) = 0;
    virtual void on_read_end(int error) = 0;  // 0: the peer finished sending (FIN); else errno
    virtual void on_write_ready() = 0;

   protected:
    ~Observer() = default;
  };

  TcpStream(Worker& worker, Observer& observer);
  ~TcpStream();  // closes; the observer hears nothing more
  TcpStream(const TcpStream&) = delete;
  TcpStream& operator=(const TcpStream&) = delete;

  void adopt(Fd fd);  // an accepted socket
  // Takes over the connection of `other`, which is closed after it; neither may read or wait. How a
  // connection is handed to the code of another protocol.
  void take_over(TcpStream& other);
  // Starts connecting; on_connect tells the result. An earlier attempt is given up.
  void connect(const SocketAddress& address);

  int fd() const;  // -1 when closed
  bool is_open() const { return fd() >= 0; }

  // Reads at most `size` bytes; `data` stays valid until the observer is called or the stream is
  // closed.
  void read(char* data, std::size_t size);
  bool reading() const;

  ssize_t send(std::span<const iovec> parts);  // bytes taken, or -errno (-EAGAIN: wait_writable())
  void wait_writable();                        // after a send() that took less than it was given

  // Whether the peer closed or sent something that nobody expects (MSG_PEEK): such a connection is
  // not used again.
  bool is_stale() const;

  void shutdown_send();
  void close();
  void abort();  // closes with a TCP reset: the peer must not take what it got for the whole

 private:
  struct Impl;
  Impl* impl_;  // shared with the operations under way, which hold references
};

}  // namespace heddle::net
