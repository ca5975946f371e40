// For the end-to-end tests of this folder: a worker, a blocking peer, a handler whose answers the
// tests script.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/client.h"
#include "http/server.h"
#include "net/address.h"
#include "net/blocking_pool.h"
#include "net/socket.h"
#include "net/test_worker.h"

namespace heddle::http::testing {

inline constexpr int kPatience = 10'000;  // ms that a test waits for what must come

// A blocking TCP connection, as a peer of the code under test.
class Peer {
 public:
  explicit Peer(net::Fd fd) : fd_(std::move(fd)) {}
  static Peer connect(std::uint16_t port) {
    net::Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = net::SocketAddress::numeric("127.0.0.1", port);
    EXPECT_EQ(::connect(fd.get(), address->data(), address->size()), 0);
    return Peer(std::move(fd));
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  void finish_sending() { ::shutdown(fd_.get(), SHUT_WR); }
  void close() { fd_ = net::Fd(); }
  // More bytes into received(); false when the peer closed, reset, or kept silent.
  bool receive() {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kPatience) != 1) {
      ADD_FAILURE() << "the peer is silent; so far: " << received;
      return false;
    }
    char buffer[65536];
    const ssize_t got = ::recv(fd_.get(), buffer, sizeof buffer, 0);
    if (got < 0) was_reset = true;
    if (got <= 0) return false;
    received.append(buffer, static_cast<std::size_t>(got));
    return true;
  }
  // Everything up to and with `end`, taken out of received.
  std::string until(std::string_view end) {
    std::size_t at = 0;
    while ((at = received.find(end)) == std::string::npos) {
      if (!receive()) {
        ADD_FAILURE() << "closed before '" << end << "'; received: " << received;
        return std::exchange(received, "");
      }
    }
    std::string out = received.substr(0, at + end.size());
    received.erase(0, at + end.size());
    return out;
  }
  std::string head() { return until("\r\n\r\n"); }
  std::string until_closed() {
    while (receive()) {
    }
    return std::exchange(received, "");
  }
  std::string received;
  bool was_reset = false;

 private:
  net::Fd fd_;
};

// A listening socket whose connections the test serves by hand.
class PeerListener {
 public:
  PeerListener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const auto any = net::SocketAddress::numeric("127.0.0.1", 0);
    EXPECT_EQ(::bind(fd_.get(), any->data(), any->size()), 0);
    EXPECT_EQ(::listen(fd_.get(), 16), 0);
  }
  std::string address() const { return net::local_address(fd_.get()).to_string(); }
  Peer accept() {
    pollfd ready{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    EXPECT_EQ(::poll(&ready, 1, kPatience), 1) << "nobody connected";
    return Peer(net::Fd(::accept(fd_.get(), nullptr, nullptr)));
  }

 private:
  net::Fd fd_;
};

// Collects what a stream receives.
struct Recorder : Receiver {
  void on_informational(HeadPtr hint) override {
    log += "1xx " + std::to_string(hint->status()) + "|";
  }
  void on_head(HeadPtr message, bool last) override {
    head = std::move(message);
    log += "head " + std::to_string(head->status()) + (last ? " end|" : "|");
    if (last) ended = true;
    if (on_head_hook) on_head_hook();
  }
  void on_data(Buffer& bytes, bool last) override {
    body += bytes.to_string();
    if (last) {
      log += "end|";
      ended = true;
    }
    if (on_data_hook) on_data_hook(bytes, last);
  }
  void on_trailers(HeadPtr message) override {
    for (const auto& entry : message->headers)
      log += std::string(entry.name) + "=" + std::string(entry.value) + "|";
    ended = true;
    if (on_trailers_hook) on_trailers_hook();
  }
  void on_reset(StreamError error, std::string_view detail) override {
    log += "reset " + std::string(to_string(error)) + "|";
    reset_detail = detail;
    head.reset();  // on the worker: its block is not shared between threads
    done.set_value();
  }
  void on_writable() override { log += "writable|"; }
  void on_complete() override {
    log += "complete|";
    head.reset();
    done.set_value();
  }
  void wait() {
    ASSERT_EQ(done.get_future().wait_for(std::chrono::milliseconds(kPatience)),
              std::future_status::ready)
        << log;
  }

  std::string log;
  std::string body;
  std::string reset_detail;
  HeadPtr head;
  bool ended = false;
  std::function<void()> on_head_hook;
  std::function<void(Buffer&, bool)> on_data_hook;
  std::function<void()> on_trailers_hook;
  std::promise<void> done;
};

// One exchange on the server: records and lets the test answer.
struct Exchange : Recorder {
  Sender* sender = nullptr;
  std::string method;
  std::string path;

  void answer(int status, const std::vector<std::pair<std::string, std::string>>& headers,
              std::string_view text) {
    head_only(status, headers, text.empty());
    if (!text.empty()) data(text, true);
  }
  void head_only(int status, const std::vector<std::pair<std::string, std::string>>& headers,
                 bool end) {
    const HeadPtr message = make_head();
    message->headers.add(":status", std::to_string(status));
    for (const auto& [name, value] : headers) message->headers.add(name, value);
    sender->send_head(message->headers, end);
  }
  void data(std::string_view text, bool end) {
    Buffer buffer;
    buffer.append(text);
    sender->send_data(std::move(buffer), end);
  }
};

struct ScriptedHandler : ServerHandler {
  Receiver* on_request(Sender& sender, const ConnectionInfo& connection, HeadPtr head,
                       bool end) override {
    exchanges.push_back(std::make_unique<Exchange>());
    Exchange& exchange = *exchanges.back();
    exchange.sender = &sender;
    exchange.method = head->method();
    exchange.path = head->path();
    exchange.ended = end;
    exchange.head = std::move(head);
    remote_ip = connection.remote_ip;
    script(exchange, end);
    return &exchange;
  }
  std::string on_bad_request(const ConnectionInfo&, int status, std::string_view) override {
    return "bad " + std::to_string(status);
  }
  std::function<void(Exchange&, bool)> script;
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::string remote_ip;
};

class WorkerFixture : public ::testing::Test, protected net::testing::TestWorker {};

}  // namespace heddle::http::testing
