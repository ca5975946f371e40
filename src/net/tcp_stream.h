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
#include <string>
#include <string_view>

#include "net/address.h"
#include "net/socket.h"

namespace heddle::net {

class Worker;
class TlsClientContext;
class TlsServerContext;
struct TlsInfo;
enum class TlsFailure : std::uint8_t;

class TcpStream {
 public:
  class Observer {
   public:
    virtual void on_connect(int error) = 0;  // errno, 0 when connected
    virtual void on_read(std::size_t count) = 0;
    virtual void on_read_end(int error) = 0;  // 0: the peer finished sending (FIN); else errno
    virtual void on_write_ready() = 0;
    // The handshake of start_tls_*() is over; `error` says why it failed and is empty when it did
    // not. After a failure the stream should be closed.
    virtual void on_tls(std::string_view /*error*/) {}
    // The peer broke the connection off while nothing was being read; reads and sends say so too.
    virtual void on_broken() {}

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

  // Speaks TLS from now on; on_tls tells the result, never from within this call. Until then
  // nothing may be read or sent. Afterwards every call means the plaintext: the end of reading is
  // the peer's close_notify, and its absence an error (ECONNRESET); what breaks TLS is EPROTO.
  // shutdown_send() and close() send close_notify, abort() does not.
  void start_tls_server(std::shared_ptr<const TlsServerContext> context);
  // `server_name`: a host name, or an IP address (no SNI then); the certificate must be of it.
  // `alpn`: offered, in order of preference; empty: no ALPN.
  void start_tls_client(std::shared_ptr<const TlsClientContext> context,
                        const std::string& server_name, std::span<const std::string_view> alpn);
  // What was agreed on, from on_tls until close; null: plain.
  std::shared_ptr<const TlsInfo> tls() const;
  // After a handshake that failed: why, in one word. And how to answer a peer that never spoke TLS:
  // from stop_tls() on the stream is plain again.
  TlsFailure tls_failure() const;
  void stop_tls();

  int fd() const;  // -1 when closed
  bool is_open() const { return fd() >= 0; }

  // Reads at most `size` bytes; `data` stays valid until the observer is called or the stream is
  // closed.
  void read(char* data, std::size_t size);
  bool reading() const;

  // Bytes taken, or -errno (-EAGAIN: wait_writable()). What was not taken comes first in the next
  // send: TLS may have sealed it already.
  ssize_t send(std::span<const iovec> parts);
  void wait_writable();  // after a send() that took less than it was given

  // Whether the peer closed or sent something that nobody expects (MSG_PEEK): such a connection is
  // not used again.
  bool is_stale() const;

  void shutdown_send();
  void close();
  void abort();  // closes with a TCP reset: the peer must not take what it got for the whole

 private:
  struct Impl;  // NOLINT(cppcoreguidelines-virtual-class-destructor): it is final
  Impl* impl_;  // shared with the operations under way, which hold references
};

}  // namespace heddle::net
