// Follows the frames of a server's input beside nghttp2, which ignores DATA of streams that it has
// forgotten; a client that sends on a stream that it closed is told so (RFC 9113 section 5.1).
// nghttp2 gets nothing behind a RST_STREAM at once, since it has to forget the stream before DATA
// is looked at. Private to this folder.
#pragma once

#include <nghttp2/nghttp2.h>

#include <cstddef>
#include <cstdint>
#include <utility>

namespace heddle::http {

class H2FrameScanner {
 public:
  explicit H2FrameScanner(std::size_t preface) : payload_left_(preface) {}

  // How many of these bytes can go to nghttp2 before the caller looks at the stream of a DATA frame
  // whose head ends behind them: then `id` is that stream, else 0. `known` says which need no look.
  template <typename Known>
  std::size_t next(const unsigned char* data, std::size_t size, std::int32_t& id, Known known) {
    std::size_t at = 0;
    while (at < size) {
      if (payload_left_ > 0) {
        const std::size_t skipped = payload_left_ < size - at ? payload_left_ : size - at;
        payload_left_ -= skipped;
        at += skipped;
        if (payload_left_ == 0 && std::exchange(resets_, false)) return at;
        continue;
      }
      if (head_size_ < kHeadSize - 1) {
        head_[head_size_++] = data[at++];
        continue;
      }
      const std::int32_t stream = stream_id(data[at]);
      if (!told_ && head_[3] == NGHTTP2_DATA && !known(stream)) {
        told_ = true;
        id = stream;
        return at;
      }
      finish_head();
      ++at;
    }
    return at;
  }
  // Whether a frame, or the preface, began and is not whole; a preface of which nothing came
  // counts.
  bool within_frame() const { return payload_left_ > 0 || head_size_ > 0; }
  // How many frames of unknown types began since the last call: nghttp2 passes over them.
  int take_unknown() { return std::exchange(unknown_, 0); }

 private:
  static constexpr std::size_t kHeadSize = 9;

  std::int32_t stream_id(unsigned char last) const {
    return static_cast<std::int32_t>((head_[5] & 0x7FU) << 24U | head_[6] << 16U | head_[7] << 8U |
                                     last);
  }
  void finish_head() {
    payload_left_ = static_cast<std::size_t>(head_[0] << 16U | head_[1] << 8U | head_[2]);
    resets_ = head_[3] == NGHTTP2_RST_STREAM && payload_left_ > 0;
    if (head_[3] > NGHTTP2_CONTINUATION) ++unknown_;
    head_size_ = 0;
    told_ = false;
  }

  std::size_t payload_left_;
  std::size_t head_size_ = 0;
  unsigned char head_[kHeadSize - 1] = {};  // all but its last byte
  int unknown_ = 0;
  bool told_ = false;
  bool resets_ = false;  // the payload is a RST_STREAM's
};

}  // namespace heddle::http
