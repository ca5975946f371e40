#include "http/h2_callbacks.h"

#include <memory>
#include <string_view>

#include "http/h2_connection.h"

namespace heddle::http {
namespace {

// A header block may be as long as max_head_bytes can be set, and its limit is the head's own.
constexpr std::size_t kMaxContinuations = 128;
constexpr std::size_t kMaxOutboundAcks = 1000;
constexpr std::uint64_t kUnlimited = std::uint64_t{1} << 32U;  // EventBucket counts resets

H2Connection& connection_of(void* data) {
  return *static_cast<H2Connection*>(data);
}

std::string_view view(nghttp2_rcbuf* text) {
  const nghttp2_vec bytes = nghttp2_rcbuf_get_buf(text);
  return {reinterpret_cast<const char*>(bytes.base), bytes.len};
}

}  // namespace

struct H2Callbacks {
  static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* data) {
    return connection_of(data).count_frame(*head);
  }
  static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    H2Connection& connection = connection_of(data);
    connection.head_of_ = frame->hd.stream_id;
    return connection.begin_head(*frame) ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static int on_header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                       nghttp2_rcbuf* value, std::uint8_t, void* data) {
    H2Connection& connection = connection_of(data);
    H2HeadReader& reader = connection.reader_;
    reader.add(view(name), view(value), nghttp2_rcbuf_is_static(name) != 0,
               nghttp2_rcbuf_is_static(value) != 0);
    if (!reader.is_hopeless()) return 0;
    reader.abandon();
    if (H2Stream* const stream = connection.find(frame->hd.stream_id))
      connection.on_hopeless_head(*stream);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static int on_invalid_header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf*,
                               nghttp2_rcbuf*, std::uint8_t, void* data) {
    connection_of(data).reset_stream(frame->hd.stream_id, NGHTTP2_PROTOCOL_ERROR);
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  static int on_chunk(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                      std::size_t size, void* data) {
    return connection_of(data).take_chunk(id, bytes, size);
  }
  static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    return connection_of(data).take_frame(*frame);
  }
  static int on_bad_frame(nghttp2_session*, const nghttp2_frame* frame, int error, void* data) {
    connection_of(data).on_bad_frame(*frame, error);
    return 0;
  }
  static int on_frame_sent(nghttp2_session*, const nghttp2_frame* frame, void* data) {
    return connection_of(data).note_sent(*frame);
  }
  static int on_unsent(nghttp2_session*, const nghttp2_frame* frame, int, void* data) {
    connection_of(data).note_unsent(*frame);
    return 0;
  }
  static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t code, void* data) {
    connection_of(data).close_by_session(id, code);
    return 0;
  }
  static int send_body(nghttp2_session*, nghttp2_frame* frame, const std::uint8_t* head,
                       std::size_t size, nghttp2_data_source*, void* data) {
    return connection_of(data).send_body(frame->hd.stream_id, head, size);
  }
  static ssize_t read_body(std::int32_t id, std::size_t most, std::uint32_t* flags, void* data) {
    return connection_of(data).read_body(id, most, flags);
  }
};

namespace {

struct Deleter {
  void operator()(nghttp2_session_callbacks* callbacks) const {
    nghttp2_session_callbacks_del(callbacks);
  }
  void operator()(nghttp2_option* option) const { nghttp2_option_del(option); }
};

using Callbacks = std::unique_ptr<nghttp2_session_callbacks, Deleter>;
using Option = std::unique_ptr<nghttp2_option, Deleter>;

Callbacks make_callbacks() {
  nghttp2_session_callbacks* made = nullptr;
  nghttp2_session_callbacks_new(&made);
  nghttp2_session_callbacks_set_on_begin_frame_callback(made, H2Callbacks::on_begin_frame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(made, H2Callbacks::on_begin_headers);
  nghttp2_session_callbacks_set_on_header_callback2(made, H2Callbacks::on_header);
  nghttp2_session_callbacks_set_on_invalid_header_callback2(made, H2Callbacks::on_invalid_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(made, H2Callbacks::on_chunk);
  nghttp2_session_callbacks_set_on_frame_recv_callback(made, H2Callbacks::on_frame);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(made, H2Callbacks::on_bad_frame);
  nghttp2_session_callbacks_set_on_frame_send_callback(made, H2Callbacks::on_frame_sent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(made, H2Callbacks::on_unsent);
  nghttp2_session_callbacks_set_on_stream_close_callback(made, H2Callbacks::on_close);
  nghttp2_session_callbacks_set_send_data_callback(made, H2Callbacks::send_body);
  return Callbacks(made);
}

Option make_option() {
  nghttp2_option* made = nullptr;
  nghttp2_option_new(&made);
  nghttp2_option_set_no_auto_window_update(made, 1);
  nghttp2_option_set_no_closed_streams(made, 1);  // H2ServerConnection knows what was closed
  // Priorities are not followed, but malformed ones are still errors.
  nghttp2_option_set_server_fallback_rfc7540_priorities(made, 1);
  nghttp2_option_set_max_continuations(made, kMaxContinuations);
  nghttp2_option_set_max_outbound_ack(made, kMaxOutboundAcks);
  nghttp2_option_set_stream_reset_rate_limit(made, kUnlimited, kUnlimited);
  return Option(made);
}

}  // namespace

nghttp2_session* make_h2_session(H2Connection& connection, bool server) {
  static const Callbacks kCallbacks = make_callbacks();
  static const Option kOption = make_option();
  nghttp2_session* session = nullptr;
  if (server) {
    nghttp2_session_server_new2(&session, kCallbacks.get(), &connection, kOption.get());
  } else {
    nghttp2_session_client_new2(&session, kCallbacks.get(), &connection, kOption.get());
  }
  return session;
}

ssize_t read_h2_body(nghttp2_session* /*session*/, std::int32_t id, std::uint8_t* /*buffer*/,
                     std::size_t size, std::uint32_t* flags, nghttp2_data_source* /*source*/,
                     void* connection) {
  return H2Callbacks::read_body(id, size, flags, connection);
}

}  // namespace heddle::http
