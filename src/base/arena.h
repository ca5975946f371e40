// A bump allocator for the bytes of one exchange: nothing is freed singly, everything at once.
//
// Not thread-safe; lives on one worker. The first chunk is kept on clear(), so a recycled arena
// does not allocate.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace heddle {

class Arena {
 public:
  static constexpr std::size_t kFirstChunk = 4096;

  // Uninitialised bytes, stable until clear().
  char* allocate(std::size_t size) {
    if (size > left_) grow(size);
    char* out = next_;
    next_ += size;
    left_ -= size;
    return out;
  }

  // A copy of `text` that lives as long as the arena.
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* out = allocate(text.size());
    std::memcpy(out, text.data(), text.size());
    return {out, text.size()};
  }

  void clear() {
    if (chunks_.size() > 1) chunks_.resize(1);
    if (!chunks_.empty()) {
      next_ = chunks_.front().get();
      left_ = kFirstChunk;
    }
  }

 private:
  void grow(std::size_t size) {
    const std::size_t chunk = chunks_.empty() && size <= kFirstChunk ? kFirstChunk
                              : size > kFirstChunk * 4               ? size
                                                                     : kFirstChunk * 4;
    if (chunks_.empty() && chunk != kFirstChunk) {
      chunks_.push_back(std::make_unique_for_overwrite<char[]>(kFirstChunk));
    }
    chunks_.push_back(std::make_unique_for_overwrite<char[]>(chunk));
    next_ = chunks_.back().get();
    left_ = chunk;
  }

  std::vector<std::unique_ptr<char[]>> chunks_;  // the first is always kFirstChunk long
  char* next_ = nullptr;
  std::size_t left_ = 0;
};

}  // namespace heddle
