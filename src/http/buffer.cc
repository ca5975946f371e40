#include "http/buffer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

namespace heddle::http {

// Blocks waiting to be used again, per thread.
class BlockPool {
 public:
  static constexpr std::size_t kMaxStandard = 256;  // 4 MiB
  static constexpr std::size_t kMaxLarge = 32;      // 2 MiB

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() {
    gone_ = true;
    for (std::size_t i = 0; i < standard_count_; ++i) release(standard_[i]);
    for (std::size_t i = 0; i < large_count_; ++i) release(large_[i]);
  }

  Block* get(std::size_t capacity) {
    if (capacity <= Block::kStandardSize) {
      if (standard_count_ > 0) return revive(standard_[--standard_count_]);
      capacity = Block::kStandardSize;
    } else if (capacity <= Block::kLargeSize) {
      if (large_count_ > 0) return revive(large_[--large_count_]);
      capacity = Block::kLargeSize;
    }
    return new (::operator new(sizeof(Block) + capacity)) Block(capacity);
  }

  void put(Block* block) {
    if (!gone_ && block->capacity_ == Block::kStandardSize && standard_count_ < kMaxStandard) {
      standard_[standard_count_++] = block;
    } else if (!gone_ && block->capacity_ == Block::kLargeSize && large_count_ < kMaxLarge) {
      large_[large_count_++] = block;
    } else {
      release(block);
    }
  }

  static BlockPool& of_thread() {
    thread_local BlockPool pool;
    return pool;
  }

 private:
  static Block* revive(Block* block) {
    block->refs_ = 1;
    return block;
  }
  static void release(Block* block) { ::operator delete(block); }

  std::array<Block*, kMaxStandard> standard_{};
  std::array<Block*, kMaxLarge> large_{};
  std::size_t standard_count_ = 0;
  std::size_t large_count_ = 0;
  bool gone_ = false;  // the thread is ending; blocks may outlive the pool
};

Block* Block::create(std::size_t capacity) {
  return BlockPool::of_thread().get(capacity);
}

void Block::unref() {
  if (--refs_ == 0) BlockPool::of_thread().put(this);
}

void Buffer::clear() {
  slices_.clear();
  head_ = 0;
  size_ = 0;
}

void Buffer::append(std::string_view bytes) {
  if (bytes.empty()) return;
  if (head_ < slices_.size()) {
    // The room behind the last slice is ours only when nobody else, such as a reader, holds the
    // block.
    Slice& last = slices_.back();
    const auto used = static_cast<std::size_t>(last.data + last.size - last.block->data());
    if (!last.block->shared() && last.block->capacity() > used) {
      const std::size_t count = std::min(bytes.size(), last.block->capacity() - used);
      std::memcpy(last.data + last.size, bytes.data(), count);
      last.size += count;
      size_ += count;
      bytes.remove_prefix(count);
    }
  }
  while (!bytes.empty()) {
    BlockRef block(
        Block::create(bytes.size() > Block::kStandardSize ? Block::kLargeSize : bytes.size()));
    const std::size_t count = std::min(bytes.size(), block->capacity());
    std::memcpy(block->data(), bytes.data(), count);
    char* data = block->data();
    slices_.push_back({std::move(block), data, count});
    size_ += count;
    bytes.remove_prefix(count);
  }
}

void Buffer::append(Slice slice) {
  if (slice.size == 0) return;
  size_ += slice.size;
  if (head_ < slices_.size()) {
    Slice& last = slices_.back();
    if (last.block.get() == slice.block.get() && last.data + last.size == slice.data) {
      last.size += slice.size;
      return;
    }
  }
  slices_.push_back(std::move(slice));
}

void Buffer::append(Buffer&& other) {
  if (empty()) {
    *this = std::move(other);
    return;
  }
  for (std::size_t i = other.head_; i < other.slices_.size(); ++i)
    append(std::move(other.slices_[i]));
  other.clear();
}

void Buffer::prepend(std::string_view bytes) {
  if (bytes.empty()) return;
  replace(0, 0, bytes);
}

void Buffer::drop_first() {
  size_ -= slices_[head_].size;
  slices_[head_].block = BlockRef();
  if (++head_ == slices_.size()) clear();
}

void Buffer::drain(std::size_t count) {
  if (count >= size_) {
    clear();
    return;
  }
  while (count > 0) {
    Slice& first = slices_[head_];
    if (first.size > count) {
      first.data += count;
      first.size -= count;
      size_ -= count;
      return;
    }
    count -= first.size;
    drop_first();
  }
}

Buffer Buffer::split(std::size_t count) {
  Buffer out;
  if (count >= size_) {
    out = std::move(*this);
  } else {
    split_to(count, out);
  }
  return out;
}

void Buffer::split_to(std::size_t count, Buffer& out) {
  count = std::min(count, size_);
  while (count > 0) {
    Slice& first = slices_[head_];
    if (first.size > count) {
      out.append(Slice{first.block, first.data, count});
      drain(count);
      return;
    }
    count -= first.size;
    size_ -= first.size;
    out.append(std::move(first));
    ++head_;
  }
  if (size_ == 0) clear();
}

void Buffer::replace(std::size_t start, std::size_t count, std::string_view bytes) {
  Buffer before = split(start);
  drain(count);
  before.append(bytes);
  for (std::size_t i = head_; i < slices_.size(); ++i) before.append(std::move(slices_[i]));
  *this = std::move(before);
}

std::size_t Buffer::copy_to(std::size_t start, std::size_t count, char* out) const {
  std::size_t copied = 0;
  for (const Slice& slice : slices()) {
    if (copied == count) break;
    if (start >= slice.size) {
      start -= slice.size;
      continue;
    }
    const std::size_t part = std::min(slice.size - start, count - copied);
    std::memcpy(out + copied, slice.data + start, part);
    copied += part;
    start = 0;
  }
  return copied;
}

std::string Buffer::to_string() const {
  std::string out;
  out.reserve(size_);
  for (const Slice& slice : slices()) out.append(slice.data, slice.size);
  return out;
}

std::size_t Buffer::to_iovec(std::span<iovec> out) const {
  std::size_t count = 0;
  for (const Slice& slice : slices()) {
    if (count == out.size()) break;
    out[count++] = {slice.data, slice.size};
  }
  return count;
}

}  // namespace heddle::http
