// The heads of RFC 9112 as a table: what is accepted, what is refused and why; each case whole and
// byte by byte.
#include "http/h1_parser.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "http/h1_writer.h"

namespace heddle::http {
namespace {

using namespace std::string_literals;
using Kind = H1Parser::Kind;
using Verdict = H1Parser::Verdict;

constexpr HeadLimits kLimits{.max_head_bytes = 4096, .max_headers = 20, .max_target_bytes = 1024};

struct Outcome {
  Verdict verdict = Verdict::kIncomplete;
  Reject reject = Reject::kNone;
  std::size_t consumed = 0;
  std::string headers;  // "name=value|..."
  bool operator==(const Outcome&) const = default;
};

Outcome parse(Kind kind, std::string bytes, std::size_t step) {
  H1Parser parser(kind);
  const HeadPtr head = make_head();
  Outcome out;
  for (std::size_t size = std::min(step, bytes.size()); out.verdict == Verdict::kIncomplete;) {
    out.verdict = parser.parse(bytes.data(), size, kLimits, *head);
    if (size == bytes.size()) break;
    size = std::min(size + step, bytes.size());
  }
  out.reject = parser.reject();
  if (out.verdict != Verdict::kComplete) return out;
  out.consumed = parser.consumed();
  for (const auto& entry : head->headers) {
    out.headers += std::string(entry.name) + "=" + std::string(entry.value) + "|";
  }
  return out;
}

Outcome parse_checked(Kind kind, const std::string& bytes) {
  const Outcome whole = parse(kind, bytes, bytes.size());
  for (const std::size_t step : {1, 2, 3, 7, 16, 17}) {
    EXPECT_EQ(parse(kind, bytes, step), whole) << "portions of " << step << ": " << bytes;
  }
  return whole;
}

struct Case {
  const char* name;
  std::string bytes;
  Reject reject;  // kNone: accepted
};

const std::vector<Case>& request_cases() {
  static const std::vector<Case> kCases = {
      {"minimal", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kNone},
      {"http10_without_host", "GET / HTTP/1.0\r\n\r\n", Reject::kNone},
      {"one_leading_crlf", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kNone},
      {"two_leading_crlf", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kLeadingWhitespace},
      {"leading_lf", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kBareLf},
      {"leading_cr", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kBareCr},
      {"leading_space", " GET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kLeadingWhitespace},
      {"leading_tab", "\tGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kLeadingWhitespace},
      {"bare_lf_request_line", "GET / HTTP/1.1\nHost: a\r\n\r\n", Reject::kBareLf},
      {"bare_lf_header", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", Reject::kBareLf},
      {"bare_lf_end", "GET / HTTP/1.1\r\nHost: a\r\n\n", Reject::kBareLf},
      {"all_bare_lf", "GET / HTTP/1.1\nHost: a\n\n", Reject::kBareLf},
      {"bare_cr_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Reject::kBareCr},
      {"bare_cr_request_line", "GET / HTTP/1.1\rHost: a\r\n\r\n", Reject::kBareCr},
      {"cr_cr_lf", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Reject::kBareCr},
      {"bare_cr_end", "GET / HTTP/1.1\r\nHost: a\r\n\rX", Reject::kBareCr},
      {"obs_fold", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", Reject::kObsFold},
      {"obs_fold_tab", "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", Reject::kObsFold},
      {"space_before_first_header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", Reject::kObsFold},
      {"space_before_colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", Reject::kSpaceBeforeColon},
      {"tab_before_colon", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n",
       Reject::kSpaceBeforeColon},
      {"no_colon", "GET / HTTP/1.1\r\nHost: a\r\nfoo\r\n\r\n", Reject::kMissingColon},
      {"empty_name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", Reject::kEmptyName},
      {"nul_in_name", "GET / HTTP/1.1\r\nHost: a\r\nX\0Y: b\r\n\r\n"s, Reject::kInvalidName},
      {"utf8_in_name", "GET / HTTP/1.1\r\nHost: a\r\nX\xC3\xA9: b\r\n\r\n", Reject::kInvalidName},
      {"parenthesis_in_name", "GET / HTTP/1.1\r\nHost: a\r\nX(: b\r\n\r\n", Reject::kInvalidName},
      {"nul_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, Reject::kNulInValue},
      {"control_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x01 b\r\n\r\n",
       Reject::kControlInValue},
      {"vertical_tab_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: \x0b chunked\r\n\r\n",
       Reject::kControlInValue},
      {"del_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n", Reject::kControlInValue},
      {"tab_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\r\n\r\n", Reject::kNone},
      {"obs_text_in_value", "GET / HTTP/1.1\r\nHost: a\r\nX: \xE9\xFF\r\n\r\n", Reject::kNone},
      {"empty_value", "GET / HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t \r\n\r\n", Reject::kNone},
      {"missing_host", "GET / HTTP/1.1\r\nX: a\r\n\r\n", Reject::kMissingHost},
      {"two_hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Reject::kDuplicateHost},
      {"two_hosts_http10", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", Reject::kDuplicateHost},
      {"empty_host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Reject::kInvalidHost},
      {"host_with_path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Reject::kInvalidHost},
      {"host_with_user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Reject::kInvalidHost},
      {"host_list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Reject::kInvalidHost},
      {"host_with_space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Reject::kInvalidHost},
      {"host_bad_port", "GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n", Reject::kInvalidHost},
      {"host_two_ports", "GET / HTTP/1.1\r\nHost: a:80:81\r\n\r\n", Reject::kInvalidHost},
      {"host_only_port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", Reject::kInvalidHost},
      {"host_with_port", "GET / HTTP/1.1\r\nHost: example.com:8080\r\n\r\n", Reject::kNone},
      {"host_ipv6", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Reject::kNone},
      {"host_ipv6_open", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", Reject::kInvalidHost},
      {"length_not_a_number", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_plus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_minus", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_hex", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_empty", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_inner_space", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 2\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n",
       Reject::kInvalidContentLength},
      {"length_overflow",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551617\r\n\r\n",
       Reject::kInvalidContentLength},
      {"two_lengths",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
       Reject::kDuplicateContentLength},
      {"two_equal_lengths",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\ncontent-length: 5\r\n\r\n",
       Reject::kDuplicateContentLength},
      {"length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\t5 \r\n\r\n", Reject::kNone},
      {"chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reject::kNone},
      {"chunked_upper", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n",
       Reject::kNone},
      {"te_and_cl",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
       Reject::kTransferEncodingWithContentLength},
      {"cl_and_te",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reject::kTransferEncodingWithContentLength},
      {"cl_0_and_te",
       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reject::kTransferEncodingWithContentLength},
      {"te_http10", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
       Reject::kTransferEncodingInHttp10},
      {"te_gzip_chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       Reject::kUnsupportedTransferEncoding},
      {"te_chunked_gzip", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_identity", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_xchunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_quoted", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_empty", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_twice",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
       "identity\r\n\r\n",
       Reject::kInvalidTransferEncoding},
      {"te_chunked_twice",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
       Reject::kUnsupportedTransferEncoding},
      {"te_space_before_colon", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
       Reject::kSpaceBeforeColon},
      {"te_on_folded_line", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n chunked\r\n\r\n",
       Reject::kObsFold},
      {"http20", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", Reject::kUnsupportedVersion},
      {"http12", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", Reject::kUnsupportedVersion},
      {"http2_preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reject::kUnsupportedVersion},
      {"version_garbage", "GET / HTTPS/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"version_lower", "GET / http/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"version_short", "GET / HTTP/1\r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"version_long", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"version_missing", "GET /\r\n\r\n", Reject::kInvalidVersion},
      {"version_trailing_space", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"two_spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"two_spaces_before_version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidVersion},
      {"method_garbage", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidMethod},
      {"method_long", std::string(40, 'A') + " / HTTP/1.1\r\nHost: a\r\n\r\n",
       Reject::kInvalidMethod},
      {"tab_after_method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidMethod},
      {"tls_hello", "\x16\x03\x01\x02", Reject::kInvalidMethod},
      {"target_with_control", "GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_with_tab", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_utf8", "GET /\xC3\xA9 HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_relative", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_authority_form", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"star_without_options", "GET * HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"star_options", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kNone},
      {"connect", "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kConnect},
      {"absolute", "GET http://b:1/p?q HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kNone},
      {"absolute_user", "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"absolute_other_scheme", "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"absolute_no_host", "GET http:///p HTTP/1.1\r\nHost: a\r\n\r\n", Reject::kInvalidTarget},
      {"target_too_long", "GET /" + std::string(1100, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n",
       Reject::kTargetTooLong},
      {"head_too_large", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(5000, 'a') + "\r\n\r\n",
       Reject::kHeadTooLarge},
      {"malformed_beyond_the_limit", "GET / HTTP/1.1\r\nX: " + std::string(4090, 'a') + "\n\r\n",
       Reject::kHeadTooLarge},
      {"too_many_headers",
       [] {
         std::string bytes = "GET / HTTP/1.1\r\n";
         for (int i = 0; i < 21; ++i) bytes += "x: y\r\n";
         return bytes + "\r\n";
       }(),
       Reject::kTooManyHeaders},
  };
  return kCases;
}

TEST(H1Parser, RequestTable) {
  for (const Case& item : request_cases()) {
    const Outcome outcome = parse_checked(Kind::kRequest, item.bytes);
    EXPECT_EQ(outcome.verdict, item.reject == Reject::kNone ? Verdict::kComplete : Verdict::kReject)
        << item.name;
    EXPECT_EQ(info(outcome.reject).name, info(item.reject).name) << item.name;
  }
}

TEST(H1Parser, APrefixOfAnAcceptedHeadIsIncomplete) {
  for (const Case& item : request_cases()) {
    if (item.reject != Reject::kNone) continue;
    for (std::size_t size = 1; size < item.bytes.size(); ++size) {
      EXPECT_EQ(parse(Kind::kRequest, item.bytes.substr(0, size), size).verdict,
                Verdict::kIncomplete)
          << item.name;
    }
  }
}

TEST(H1Parser, RequestsYieldPseudoHeadersFirst) {
  EXPECT_EQ(parse_checked(Kind::kRequest,
                          "GET /a?b HTTP/1.1\r\nX-A:  1 \r\nHost: h:1\r\nx-a:\t2\r\n\r\nrest")
                .headers,
            ":authority=h:1|:path=/a?b|:method=GET|:scheme=http|x-a=1|x-a=2|");
  EXPECT_EQ(parse_checked(Kind::kRequest, "GET / HTTP/1.0\r\n\r\n").headers,
            ":path=/|:method=GET|:scheme=http|");
  EXPECT_EQ(parse_checked(Kind::kRequest, "GET http://b:1?q HTTP/1.1\r\nHost: a\r\n\r\n").headers,
            ":authority=b:1|:path=/?q|:method=GET|:scheme=http|");
  EXPECT_EQ(parse_checked(Kind::kRequest, "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n").headers,
            ":authority=b|:path=*|:method=OPTIONS|:scheme=http|");
  EXPECT_EQ(parse_checked(Kind::kRequest, "GET / HTTP/1.1\r\nHost: h\r\n\r\nrest").consumed, 27U);
}

TEST(H1Parser, ResponseTable) {
  const std::vector<Case> cases = {
      {"ok", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", Reject::kNone},
      {"no_reason", "HTTP/1.1 200 \r\n\r\n", Reject::kNone},
      {"no_space", "HTTP/1.1 200\r\n\r\n", Reject::kNone},
      {"http10", "HTTP/1.0 404 Not Found\r\n\r\n", Reject::kNone},
      {"http2", "HTTP/2.0 200 OK\r\n\r\n", Reject::kUnsupportedVersion},
      {"garbage", "hello, world this is no http\r\n\r\n", Reject::kInvalidVersion},
      {"short", "HTTP/1.1\r\n\r\n", Reject::kInvalidStatusLine},
      {"two_digits", "HTTP/1.1 20 OK\r\n\r\n", Reject::kInvalidStatusLine},
      {"four_digits", "HTTP/1.1 2000 OK\r\n\r\n", Reject::kInvalidStatusLine},
      {"status_zero", "HTTP/1.1 099 OK\r\n\r\n", Reject::kInvalidStatusLine},
      {"bare_lf", "HTTP/1.1 200 OK\nX: y\r\n\r\n", Reject::kBareLf},
      {"control_in_reason", "HTTP/1.1 200 O\x01K\r\n\r\n", Reject::kInvalidStatusLine},
      {"te_and_cl", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
       Reject::kTransferEncodingWithContentLength},
      {"two_lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
       Reject::kDuplicateContentLength},
      {"obs_fold", "HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n", Reject::kObsFold},
  };
  for (const Case& item : cases) {
    const Outcome outcome = parse_checked(Kind::kResponse, item.bytes);
    EXPECT_EQ(info(outcome.reject).name, info(item.reject).name) << item.name;
    if (item.reject == Reject::kNone) EXPECT_EQ(outcome.headers.rfind(":status=", 0), 0U);
  }
}

H1Parser parsed(Kind kind, std::string bytes, Head& head) {
  H1Parser parser(kind);
  EXPECT_EQ(parser.parse(bytes.data(), bytes.size(), kLimits, head), Verdict::kComplete);
  return parser;
}

TEST(H1Parser, ConnectionAndUpgrade) {
  const auto keep_alive = [](const std::string& bytes) {
    return parsed(Kind::kRequest, bytes, *make_head()).keep_alive();
  };
  EXPECT_TRUE(keep_alive("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n"));
  EXPECT_FALSE(keep_alive("GET / HTTP/1.0\r\n\r\n"));
  EXPECT_TRUE(keep_alive("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
  const auto upgrade = [](const std::string& lines) {
    std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n";
    const HeadPtr head = make_head();
    parsed(Kind::kRequest, bytes, *head);
    return head->upgrade;
  };
  EXPECT_TRUE(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(upgrade("Upgrade: websocket\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\nUpgrade: h2c\r\n"));
  EXPECT_FALSE(upgrade("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n"));
}

TEST(H1Parser, ResponseFraming) {
  const auto framing = [](const std::string& lines, int status, bool head_request) {
    return parsed(Kind::kResponse, "HTTP/1.1 200 OK\r\n" + lines + "\r\n", *make_head())
        .response_framing(status, head_request);
  };
  EXPECT_EQ(framing("", 200, false).kind, BodyKind::kUntilClose);
  EXPECT_EQ(framing("", 204, false).kind, BodyKind::kNone);
  EXPECT_EQ(framing("Content-Length: 5\r\n", 304, false).kind, BodyKind::kNone);
  EXPECT_EQ(framing("Content-Length: 5\r\n", 200, true).kind, BodyKind::kNone);
  EXPECT_EQ(framing("Content-Length: 5\r\n", 200, false).length, 5U);
  EXPECT_EQ(framing("Content-Length: 0\r\n", 200, false).kind, BodyKind::kNone);
  EXPECT_EQ(framing("Transfer-Encoding: chunked\r\n", 200, false).kind, BodyKind::kChunked);
}

TEST(H1Writer, WhatWasParsedIsWrittenWithoutHopByHopHeaders) {
  std::string bytes =
      "POST /p HTTP/1.1\r\nHost: h\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nTE: "
      "trailers\r\nKeep-Alive: 5\r\n"
      "Upgrade: x\r\nProxy-Connection: y\r\nX-Kept: z\r\nContent-Length: 3\r\n\r\n";
  const HeadPtr head = make_head();
  H1Parser parser(Kind::kRequest);
  ASSERT_EQ(parser.parse(bytes.data(), bytes.size(), kLimits, *head), Verdict::kComplete);
  Buffer out;
  OutputBlock block;
  const Framing framing = write_request_head(out, block, head->headers, {});
  EXPECT_EQ(out.to_string(),
            "POST /p HTTP/1.1\r\nhost: h\r\nx-kept: z\r\ncontent-length: 3\r\n\r\n");
  EXPECT_EQ(framing.length, 3U);
}

TEST(H1Writer, EveryConnectionHeaderNominates) {
  const HeadPtr head = make_head();
  for (const auto& [name, value] :
       std::initializer_list<std::pair<const char*, const char*>>{{"connection", "Upgrade"},
                                                                  {"x-hop", "1"},
                                                                  {"date", "today"},
                                                                  {"x-kept", "2"},
                                                                  {"connection", "x-hop, Date"}}) {
    head->headers.add(name, value);
  }
  Buffer out;
  OutputBlock block;
  write_response_head(out, block, head->headers, 200, {.end = true});
  EXPECT_EQ(out.to_string(), "HTTP/1.1 200 OK\r\nx-kept: 2\r\ncontent-length: 0\r\n\r\n");
}

TEST(H1Writer, ResponseFraming) {
  const HeadPtr head = make_head();
  head->headers.add("date", "today");
  const auto written = [&](int status, const HeadRules& rules) {
    Buffer out;
    OutputBlock block;
    write_response_head(out, block, head->headers, status, rules);
    return out.to_string();
  };
  EXPECT_EQ(written(200, {.end = true}),
            "HTTP/1.1 200 OK\r\ndate: today\r\ncontent-length: 0\r\n\r\n");
  EXPECT_EQ(written(404, {}),
            "HTTP/1.1 404 Not Found\r\ndate: today\r\ntransfer-encoding: chunked\r\n\r\n");
  EXPECT_EQ(written(200, {.chunked_allowed = false, .connection = "close"}),
            "HTTP/1.1 200 OK\r\ndate: today\r\nconnection: close\r\n\r\n");
  head->headers.remove("date");
  EXPECT_NE(written(200, {.add_date = true}).find(" GMT\r\n"), std::string::npos);
}

}  // namespace
}  // namespace heddle::http
