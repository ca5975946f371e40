// Where nghttp2 calls back: plain functions that find the connection behind a session. Private to
// this folder.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>

namespace heddle::http {

class H2Connection;

// A session with this folder's callbacks and options: no automatic window updates, no priorities.
nghttp2_session* make_h2_session(H2Connection& connection, bool server);

// The data provider of every stream.
ssize_t read_h2_body(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer,
                     std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                     void* connection);

}  // namespace heddle::http
