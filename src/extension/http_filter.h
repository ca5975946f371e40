// The extension point of the filter chain: an HttpFilter sees and changes one HTTP exchange on its
// way.
//
// The chain calls filters on the exchange's worker, one call at a time, in order of priority for
// the request and in reverse for the response. A filter acts on the exchange through its
// FilterHost. What a filter asks for from within a callback (continue, local reply, reset) happens
// after the callback has returned.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "extension/exchange_info.h"
#include "http/buffer.h"
#include "http/header_map.h"
#include "http/message.h"

namespace heddle::net {
class Worker;
}

namespace heddle::extension {

// What becomes of the headers, and of the body behind them.
enum class HeadersAction : std::uint8_t {
  kContinue,
  kStop,           // headers wait; body callbacks run, and the first that continues sends both on
  kStopAllBuffer,  // headers and body wait for continue_*(); too much body is 413 (request) or 502
                   // (response)
  kStopAllWatermark,  // the same, with back-pressure instead of a limit
};

enum class DataAction : std::uint8_t {
  kContinue,   // everything held goes on
  kBuffer,     // held; the next callback sees it with what follows; too much is 413 or 502
  kWatermark,  // held, with back-pressure instead of a limit
  kNoBuffer,   // what this callback saw is dropped; the filter took it
};

enum class TrailersAction : std::uint8_t { kContinue, kStop };

// A response that a filter gives instead of the origin.
struct LocalReply {
  int status = 500;
  std::string details;  // for the access log
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int grpc_status = -1;  // 0-16, else none
};

// The chain's side of a filter: one for each filter and exchange, valid as long as the filter is.
class FilterHost {
 public:
  virtual net::Worker& worker() = 0;
  virtual const ExchangeInfo& info() const = 0;

  // The messages as they now are. Null when there is none (yet); they stay readable in on_log.
  virtual http::HeaderMap* request_headers() = 0;
  virtual http::HeaderMap* request_trailers() = 0;
  virtual http::HeaderMap* response_headers() = 0;
  virtual http::HeaderMap* response_trailers() = 0;
  // Whether this filter may still change them: the map is on its way through this filter and did
  // not leave it.
  virtual bool request_headers_writable() const = 0;
  virtual bool request_trailers_writable() const = 0;
  virtual bool response_headers_writable() const = 0;
  virtual bool response_trailers_writable() const = 0;
  // Makes trailers while the last body callback (end = true) runs and there are none; null at any
  // other time.
  virtual http::HeaderMap* create_request_trailers() = 0;
  virtual http::HeaderMap* create_response_trailers() = 0;

  // The body bytes that this filter holds now; null when it holds none and no body callback is
  // running.
  virtual http::Buffer* request_body() = 0;
  virtual http::Buffer* response_body() = 0;

  // Sends on what the filter stopped. Harmless when nothing is stopped.
  virtual void continue_request() = 0;
  virtual void continue_response() = 0;
  // Answers the request; runs through the response phases of the filters already passed, this one
  // included. Before the response head went out it replaces the origin's answer; after that the
  // exchange is reset.
  virtual void send_local_reply(LocalReply reply) = 0;
  virtual void reset_stream() = 0;
  // The route is chosen anew when the request headers have left the last filter.
  virtual void clear_route() = 0;

  virtual Properties& properties() = 0;

 protected:
  ~FilterHost() = default;
};

// Which callbacks a filter wants; the chain skips the others at no cost.
struct FilterInterest {
  bool request_headers = false;
  bool request_data = false;
  bool request_trailers = false;
  bool response_headers = false;
  bool response_data = false;
  bool response_trailers = false;
  bool log = false;
  // Changes of the request headers by this filter do not choose the route anew.
  bool keeps_route = false;
};

class HttpFilter {
 public:
  // The exchange is over; on_log was called if wanted. Not called while a callback of this filter
  // runs.
  virtual ~HttpFilter() = default;

  virtual HeadersAction on_request_headers(http::HeaderMap& headers, bool end) = 0;
  // `data`: everything this filter holds, the new bytes included. It may be changed in place.
  virtual DataAction on_request_data(http::Buffer& data, bool end) = 0;
  virtual TrailersAction on_request_trailers(http::HeaderMap& trailers) = 0;

  virtual HeadersAction on_response_headers(http::HeaderMap& headers, bool end) = 0;
  virtual DataAction on_response_data(http::Buffer& data, bool end) = 0;
  virtual TrailersAction on_response_trailers(http::HeaderMap& trailers) = 0;

  // After the response was sent or the exchange was reset, off the request's path; all maps can be
  // read.
  virtual void on_log() = 0;
};

// Makes the filters of one plugin version. Shared by all workers; create() runs on the exchange's
// worker.
class HttpFilterFactory {
 public:
  virtual ~HttpFilterFactory() = default;
  virtual const std::string& name() const = 0;  // of the plugin; lives as long as the factory
  virtual FilterInterest interest() const = 0;
  virtual std::size_t buffer_limit() const = 0;  // bytes held for one message before 413 or 502
  // Null: the exchange passes this filter by (a plugin that fails open). A plugin that fails closed
  // returns a filter which answers with its failure status.
  virtual std::unique_ptr<HttpFilter> create(FilterHost& host) = 0;
};

}  // namespace heddle::extension
