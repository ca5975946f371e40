// Foreign functions `compress` and `uncompress`: a zlib stream (RFC 1950) of the raw arguments, and
// back. Both work within buffer_limit, so that a callback's time stays bounded and a small stream
// cannot fill memory.
#include <zlib.h>

#include <algorithm>
#include <array>

#include "contracts/proxy_wasm/foreign_functions.h"
#include "contracts/proxy_wasm/vm.h"

namespace heddle::proxy_wasm {
namespace {

Status compress_bytes(Vm& vm, std::string_view arguments, std::string& result) {
  if (!admit_size(vm, "compress", arguments.size())) return Status::kInternalFailure;
  uLongf size = ::compressBound(arguments.size());
  result.resize(size);
  if (::compress(reinterpret_cast<Bytef*>(result.data()), &size,
                 reinterpret_cast<const Bytef*>(arguments.data()), arguments.size()) != Z_OK) {
    return Status::kSerializationFailure;
  }
  result.resize(size);
  return Status::kOk;
}

// zlib's inflate state, ended with its scope.
class Inflater {
 public:
  explicit Inflater(std::string_view input) {
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(input.data()));
    stream_.avail_in = static_cast<uInt>(input.size());
    ready_ = ::inflateInit(&stream_) == Z_OK;
  }
  ~Inflater() {
    if (ready_) ::inflateEnd(&stream_);
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Appends what comes next to `out`, up to `room` bytes; Z_OK: there is more.
  int inflate(std::string& out, std::size_t room) {
    if (!ready_) return Z_MEM_ERROR;
    const std::size_t before = out.size();
    out.resize(before + room);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + before);
    stream_.avail_out = static_cast<uInt>(room);
    const int state = ::inflate(&stream_, Z_NO_FLUSH);
    out.resize(out.size() - stream_.avail_out);
    return state;
  }

 private:
  z_stream stream_{};
  bool ready_ = false;
};

// As Envoy, a stream that is cut short is a failure, and what stands behind the stream is ignored.
Status uncompress_bytes(Vm& vm, std::string_view arguments, std::string& result) {
  constexpr std::size_t kStep = std::size_t{64} * 1024;
  if (!admit_size(vm, "uncompress", arguments.size())) return Status::kInternalFailure;
  Inflater inflater(arguments);
  for (;;) {
    const std::size_t before = result.size();
    const int state = inflater.inflate(result, kStep);
    if (!admit_size(vm, "uncompress", result.size())) return Status::kInternalFailure;
    if (state == Z_STREAM_END) return Status::kOk;
    if (state != Z_OK || result.size() == before) break;
  }
  warn_of_function(vm, "uncompress", "the bytes are no zlib stream, or a part of one");
  return Status::kSerializationFailure;
}

constexpr std::array kFunctions = {
    BuiltInFunction{"compress", &compress_bytes},
    BuiltInFunction{"uncompress", &uncompress_bytes},
};

}  // namespace

std::span<const BuiltInFunction> compression_functions() {
  return kFunctions;
}

}  // namespace heddle::proxy_wasm
