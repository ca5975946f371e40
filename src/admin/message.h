// Requests and answers of the admin API as values, free of sockets and workers: what the handlers
// work with and the tests make.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::admin {

struct Request {
  std::string method;
  std::string target;  // path and query as received
  std::string host;    // Host or :authority
  std::string origin;
  std::string fetch_site;  // Sec-Fetch-Site
  std::string authorization;
  std::string remote_ip;
  std::string user;  // who was authenticated; empty without authentication
  std::string body;
  bool websocket = false;  // asks for a WebSocket in place of an answer
};

struct Response {
  int status = 200;
  std::string content_type = "application/json";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

// Takes the answer; called exactly once, on any thread.
using Respond = std::move_only_function<void(Response)>;

// {"error":{"code":…,"message":…}}
Response error_response(int status, std::string_view code, std::string_view message);

}  // namespace heddle::admin
