// Any bytes as a chunked body: decoded whole and byte by byte they give the same; a body that was
// decoded and written again decodes to the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "http/h1_body.h"
#include "http/h1_writer.h"

namespace {

using namespace heddle::http;
using Status = H1BodyDecoder::Status;

void require(bool good) {
  if (!good) std::abort();
}

struct Decoded {
  Status status = Status::kMore;
  Reject reject = Reject::kNone;
  std::size_t consumed = 0;
  std::string data;
  std::string trailers;
  HeadPtr trailer_head;
};

Decoded decode(std::string bytes, std::size_t step) {
  H1BodyDecoder decoder;
  decoder.start({BodyKind::kChunked, 0});
  Decoded out;
  for (std::size_t end = 0; end < bytes.size() && out.status == Status::kMore;) {
    end = std::min(end + step, bytes.size());
    while (out.consumed < end && out.status == Status::kMore) {
      const auto part = decoder.next(bytes.data() + out.consumed, end - out.consumed);
      require(part.consumed > 0);
      out.consumed += part.consumed;
      out.status = part.status;
      if (part.size > 0) out.data.append(part.data, part.size);
    }
  }
  out.reject = decoder.reject();
  out.trailer_head = decoder.take_trailers();
  if (out.trailer_head) {
    for (const auto& entry : out.trailer_head->headers) {
      out.trailers += std::string(entry.name) + "=" + std::string(entry.value) + "\n";
    }
  }
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const Decoded whole = decode(bytes, bytes.size());
  const Decoded parts = decode(bytes, 1);
  require(parts.status == whole.status && parts.reject == whole.reject &&
          parts.consumed == whole.consumed && parts.data == whole.data &&
          parts.trailers == whole.trailers);
  if (whole.status != Status::kDone) return 0;
  Buffer out;
  OutputBlock block;
  BodyWriter writer;
  writer.start({BodyKind::kChunked, 0});
  Buffer body;
  body.append(whole.data);
  writer.write(out, block, std::move(body), !whole.trailer_head);
  if (whole.trailer_head) writer.write_trailers(out, block, whole.trailer_head->headers);
  const std::string written = out.to_string();
  const Decoded again = decode(written, written.size());
  require(again.status == Status::kDone && again.consumed == written.size() &&
          again.data == whole.data);
  return 0;
}
