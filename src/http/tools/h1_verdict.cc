// Prints what this codec says about each request on standard input, for comparison with other
// parsers.
//
// Input: (u32 little-endian length, bytes)*. Output, a line each: `accept METHOD TARGET nheaders
// bodybytes`, `reject REASON` or `incomplete`. nheaders counts the headers without pseudo-headers,
// and without Host.
#include <array>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>

#include "http/h1_body.h"
#include "http/h1_parser.h"

namespace {

using namespace heddle::http;

std::string reject_line(Reject reject) {
  return "reject " + std::string(info(reject).name);
}

std::string verdict(std::string bytes) {
  const HeadPtr head = make_head();
  H1Parser parser(H1Parser::Kind::kRequest);
  switch (parser.parse(bytes.data(), bytes.size(), HeadLimits{}, *head)) {
    case H1Parser::Verdict::kIncomplete:
      return "incomplete";
    case H1Parser::Verdict::kReject:
      return reject_line(parser.reject());
    case H1Parser::Verdict::kComplete:
      break;
  }
  H1BodyDecoder decoder;
  decoder.start(parser.request_framing());
  std::size_t at = parser.consumed();
  std::size_t body = 0;
  for (;;) {
    const H1BodyDecoder::Step step = decoder.next(bytes.data() + at, bytes.size() - at);
    at += step.consumed;
    body += step.size;
    if (step.status == H1BodyDecoder::Status::kReject) return reject_line(decoder.reject());
    if (step.status == H1BodyDecoder::Status::kDone) break;
    if (at == bytes.size()) return "incomplete";
  }
  std::size_t headers = 0;
  for (const auto& entry : head->headers) headers += entry.name.front() != ':' ? 1 : 0;
  return "accept " + std::string(head->method()) + " " + std::string(head->path()) + " " +
         std::to_string(headers) + " " + std::to_string(body);
}

}  // namespace

int main() {
  std::array<unsigned char, 4> prefix;
  while (std::cin.read(reinterpret_cast<char*>(prefix.data()), prefix.size())) {
    const std::uint32_t size = prefix[0] | (std::uint32_t{prefix[1]} << 8) |
                               (std::uint32_t{prefix[2]} << 16) | (std::uint32_t{prefix[3]} << 24);
    std::string bytes(size, '\0');
    if (!std::cin.read(bytes.data(), size)) return 1;
    std::cout << verdict(std::move(bytes)) << '\n';
  }
  return 0;
}
