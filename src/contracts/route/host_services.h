// The imports of route plugins that wait: SQL, HTTP and state. The guest is suspended until the
// service answers; texts are made and read on the worker's own stack, not on the guest's.
//
// Failing: a call that gives a pointer gives JSON with "error" (SQL, HTTP) or null (state); one
// that gives a number gives -1 (db_execute) or 0 (state). The reason is in the plugin's log. A wild
// pointer ends the guest.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sandbox/instance.h"

namespace heddle::route {

// What a guest points at. Nothing: out of bounds, and the guest ends with a trap.
std::optional<std::string_view> guest_text(sandbox::Instance& instance, sandbox::GuestPtr address,
                                           sandbox::GuestSize size);

using sandbox::GuestPtr;
using sandbox::GuestSize;
using sandbox::Instance;

// The seed's: the pointer is to the JSON, which a NUL follows and its length precedes.
GuestPtr db_query(Instance& instance, GuestPtr query, GuestSize query_size);
std::int32_t db_execute(Instance& instance, GuestPtr query, GuestSize query_size);
GuestPtr http_request(Instance& instance, GuestPtr method, GuestSize method_size, GuestPtr url,
                      GuestSize url_size, GuestPtr body, GuestSize body_size);

// The current SDK's: the pointer is to the length.
GuestPtr db_query_bound(Instance& instance, GuestPtr query, GuestSize query_size,
                        GuestPtr parameters, GuestSize parameters_size);
std::int32_t db_execute_bound(Instance& instance, GuestPtr query, GuestSize query_size,
                              GuestPtr parameters, GuestSize parameters_size);
GuestPtr http_request_with_headers(Instance& instance, GuestPtr method, GuestSize method_size,
                                   GuestPtr url, GuestSize url_size, GuestPtr headers,
                                   GuestSize headers_size, GuestPtr body, GuestSize body_size);
GuestPtr state_get(Instance& instance, GuestPtr key, GuestSize key_size);
std::int32_t state_set(Instance& instance, GuestPtr key, GuestSize key_size, GuestPtr value,
                       GuestSize value_size);
std::int32_t state_remove(Instance& instance, GuestPtr key, GuestSize key_size);

}  // namespace heddle::route
