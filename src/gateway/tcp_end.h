// One end of a proxied TCP connection: the client's socket or the upstream's. Hands on what arrives
// while its owner wants it, and writes what it is given with one system call an event.
//
// Worker thread only. The owner may close an end in any callback; it destroys it later.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "http/buffer.h"
#include "net/tcp_stream.h"
#include "net/worker.h"

namespace heddle::gateway {

class TcpEnd final : public net::TcpStream::Observer, public net::Worker::Flushable {
 public:
  class Owner {
   public:
    virtual void on_end_connected(int error) = 0;  // the upstream's; errno, 0 when connected
    // The handshake of start_tls_*() is over; `error` says why it failed, and is empty otherwise.
    virtual void on_end_secured(TcpEnd& end, std::string_view error) = 0;
    virtual void on_end_bytes(TcpEnd& end, http::Buffer&& bytes) = 0;
    virtual void on_end_finished(TcpEnd& end) = 0;           // the peer sends nothing more
    virtual void on_end_broken(TcpEnd& end, int error) = 0;  // errno
    // It takes nothing more; what it sent before can still be read.
    virtual void on_end_refused(TcpEnd& end, int error) = 0;
    virtual void on_end_sent(TcpEnd& end) = 0;  // unsent() became less
    virtual bool wants_bytes(const TcpEnd& end) const = 0;

   protected:
    ~Owner() = default;
  };

  TcpEnd(net::Worker& worker, Owner& owner);
  ~TcpEnd();
  TcpEnd(const TcpEnd&) = delete;
  TcpEnd& operator=(const TcpEnd&) = delete;

  void adopt(net::Fd fd);  // connected already
  void connect(const net::SocketAddress& address);
  // Speaks TLS from now on, as net::TcpStream does. Not open until the handshake has succeeded.
  void start_tls_server(std::shared_ptr<const net::TlsServerContext> context);
  void start_tls_client(std::shared_ptr<const net::TlsClientContext> context,
                        const std::string& server_name);
  const net::TcpStream& stream() const { return stream_; }

  void write(http::Buffer&& bytes);
  void finish();             // sends FIN behind what was written
  void finish_with_reset();  // closes with a reset instead: the peer must not take it for the whole
  void look_again() { worker_.queue_flush(*this); }  // wants_bytes() may have changed

  bool finished() const { return finished_; }  // the peer has
  bool sent_all() const { return fin_sent_; }
  bool refused_bytes() const { return refused_; }  // the peer takes nothing more
  std::size_t unsent() const { return out_.size(); }
  std::uint64_t received() const { return received_; }
  std::uint64_t sent() const { return sent_; }
  bool is_open() const { return open_; }
  int fd() const { return stream_.fd(); }

  void close();
  void abort();  // with a reset

  // net::TcpStream::Observer and net::Worker::Flushable
  void on_connect(int error) override;
  void on_read(std::size_t count) override;
  void on_read_end(int error) override;
  void on_write_ready() override;
  void on_broken() override;
  void on_tls(std::string_view error) override;
  void flush() override;

 private:
  void start_read();
  void write_out();
  void refuse(int error);
  void make_room();

  net::Worker& worker_;
  Owner& owner_;
  net::TcpStream stream_;
  http::Buffer out_;
  http::BlockRef block_;
  std::size_t filled_ = 0;  // of block_
  std::size_t room_ = 0;    // of the read under way
  std::uint64_t received_ = 0;
  std::uint64_t sent_ = 0;
  bool open_ = false;
  bool bulk_ = false;  // reads fill their room: larger blocks pay
  bool finished_ = false;
  bool fin_wanted_ = false;
  bool reset_wanted_ = false;
  bool refused_ = false;
  bool broke_off_ = false;  // it was reset with nothing on its way to it
  bool fin_sent_ = false;
  bool write_waiting_ = false;
};

}  // namespace heddle::gateway
