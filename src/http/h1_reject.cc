#include "http/h1_reject.h"

#include <array>

namespace heddle::http {
namespace {

constexpr std::array<RejectInfo, kRejectCount> kTable = {{
    {200, "none", ""},
    {400, "bare_lf", "a line ends with LF alone"},
    {400, "bare_cr", "a CR is not followed by LF"},
    {400, "obs_fold", "a header line begins with white space"},
    {400, "space_before_colon", "white space before the colon of a header"},
    {400, "missing_colon", "a header line without a colon"},
    {400, "empty_name", "a header without a name"},
    {400, "invalid_name", "an invalid character in a header name"},
    {400, "nul_in_value", "a NUL in a header value"},
    {400, "control_in_value", "a control character in a header value"},
    {400, "missing_host", "the Host header is missing"},
    {400, "duplicate_host", "more than one Host header"},
    {400, "invalid_host", "an invalid host name"},
    {400, "invalid_content_length", "an invalid Content-Length"},
    {400, "duplicate_content_length", "more than one Content-Length"},
    {400, "invalid_transfer_encoding", "a Transfer-Encoding that does not end in chunked"},
    {501, "unsupported_transfer_encoding", "a Transfer-Encoding other than chunked"},
    {400, "transfer_encoding_with_content_length", "both Transfer-Encoding and Content-Length"},
    {400, "transfer_encoding_in_http10", "Transfer-Encoding in an HTTP/1.0 message"},
    {400, "invalid_version", "an invalid protocol version"},
    {505, "unsupported_version", "the protocol version is not supported"},
    {400, "invalid_method", "an invalid method"},
    {400, "invalid_target", "an invalid request target"},
    {400, "invalid_status_line", "an invalid status line"},
    {400, "leading_whitespace", "white space before the start line"},
    {501, "connect", "the CONNECT method is not supported"},
    {400, "invalid_chunk_size", "an invalid chunk size line"},
    {400, "invalid_chunk_end", "a chunk does not end with CRLF"},
    {400, "malformed_http2", "a malformed HTTP/2 message"},
    {400, "cut_off", "the client closed before the head was whole"},
    {431, "head_bytes", "the head is larger than max_head_bytes"},
    {431, "headers", "more headers than max_headers"},
    {414, "target_bytes", "the request target is longer than max_target_bytes"},
    {400, "chunk_extension", "chunk extensions are too long"},
    {431, "trailer_bytes", "the trailers are too large"},
    {413, "body_bytes", "the body is larger than max_body_bytes"},
    {408, "head_timeout", "the head did not arrive within head_timeout"},
    {408, "body_timeout", "the body did not arrive within body_timeout"},
}};

}  // namespace

const RejectInfo& info(Reject reject) {
  return kTable[static_cast<std::size_t>(reject)];
}

}  // namespace heddle::http
