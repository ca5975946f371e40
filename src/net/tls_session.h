// TLS on one connection: turns plaintext into records and back, between a TcpStream and its socket.
// Private to this folder; worker thread only.
//
// OpenSSL reads through the stream (at most one system call per record) and writes into a buffer of
// the session, which leaves with one system call per send. So OpenSSL never waits for room, and
// what a read makes it answer (alerts, key updates) is sent like everything else.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/timer.h"
#include "net/tls_openssl.h"

namespace heddle::net {

class TlsTransport {
 public:
  // Count, 0 at the end of the stream, or -errno; -EAGAIN: an event will tell of more.
  virtual ssize_t pull(char* data, std::size_t size) = 0;
  virtual ssize_t push(const char* data, std::size_t size) = 0;

 protected:
  ~TlsTransport() = default;
};

class TlsSession {
 public:
  // The context of the side that is played; the other is null.
  struct Contexts {
    std::shared_ptr<const TlsServerContext> server = nullptr;
    std::shared_ptr<const TlsClientContext> client = nullptr;
  };
  enum class Status : std::uint8_t { kDone, kWait, kEnd, kFailed };
  struct Read {
    Status status;
    std::size_t count = 0;  // with kDone
    int error = 0;          // with kFailed: errno
  };

  TlsSession(Contexts contexts, TlsTransport& transport);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  // For clients, before the handshake. `address`: where sessions are kept under.
  void set_server_name(const std::string& name, const std::string& address);
  void offer(std::span<const std::string_view> alpn);

  bool shaking_hands() const { return info_ == nullptr && error_.empty(); }
  Status shake_hands();
  const std::string& error() const { return error_; }  // after kFailed
  TlsFailure failure() const { return failure_; }
  void time_out();
  std::chrono::nanoseconds handshake_timeout() const;
  const std::shared_ptr<const TlsInfo>& info() const { return info_; }

  Read read(char* data, std::size_t size);
  bool has_more() const { return SSL_has_pending(ssl_.get()) == 1 || ended_ != Status::kDone; }
  ssize_t send(std::span<const iovec> parts);  // as TcpStream::send()

  // Passes sealed bytes to the transport; false when some are left.
  bool flush();
  // Seals the close_notify and passes on what it can.
  void finish();
  // Whether the peer still stands there and sent nothing that is not TLS's own.
  bool is_quiet();

  static int on_new_session(SSL* ssl, SSL_SESSION* session);
  static int on_verified(int trusted, X509_STORE_CTX* state);

 private:
  friend struct TlsBio;
  Status explain(int result);
  void explain_failed_handshake();
  void describe();
  bool seal(std::span<const iovec> parts, std::size_t offset);

  Contexts contexts_;
  TlsTransport& transport_;
  SslPtr ssl_;
  std::string session_key_;
  std::shared_ptr<const TlsInfo> info_;
  std::string error_;
  TlsFailure failure_ = TlsFailure::kNone;
  std::shared_ptr<const TlsCertificate> distrusted_;  // that ended the handshake
  std::vector<char> sealed_;                          // records for the transport
  std::size_t sealed_sent_ = 0;                       // of them
  std::size_t unreported_ = 0;    // plaintext in sealed_ that send() has not said to be taken
  Status ended_ = Status::kDone;  // kEnd, kFailed: what reads say from now on
  int end_error_ = 0;
  int send_error_ = 0;  // errno
  bool eof_ = false;    // the transport ended
  int io_error_ = 0;    // errno of the transport
  bool finished_ = false;
};

}  // namespace heddle::net
