// Keeps web pages of others away from an admin API that needs no password: a name that was rebound
// to this machine shows in Host, a form of another site shows in Origin.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "admin/message.h"

namespace heddle::admin {

class Guard {
 public:
  // `address`: what the API listens on. On all addresses every IP literal is accepted as Host:
  // rebinding needs a name.
  Guard(std::string_view address, const std::vector<std::string>& allowed_hosts);

  // A 403, or nothing when the request may pass.
  std::optional<Response> check(const Request& request) const;

 private:
  bool host_allowed(std::string_view host) const;
  bool origin_allowed(const Request& request) const;

  std::string bound_host_;  // empty: all addresses
  std::vector<std::string> allowed_;
};

}  // namespace heddle::admin
