// The native filters `request_headers` and `response_headers`: headers removed, set and added, in
// this order.
#pragma once

#include <memory>

#include "config/config.h"
#include "extension/http_filter.h"
#include "gateway/filter_chain.h"

namespace heddle::gateway {

std::shared_ptr<extension::HttpFilterFactory> make_header_filter(const config::HeaderRules& rules,
                                                                 Side side);

}  // namespace heddle::gateway
