// Body bytes on their way: a queue of slices of reference-counted blocks. Moving a Buffer moves no
// bytes.
//
// Not thread-safe: blocks, slices and buffers stay on the worker that made them.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace heddle::http {

// A piece of memory with a reference count; blocks of kStandardSize are recycled per thread.
class Block {
 public:
  static constexpr std::size_t kStandardSize = std::size_t{16} * 1024 - 64;
  static constexpr std::size_t kLargeSize =
      std::size_t{64} * 1024 - 64;  // for bulk bodies; recycled too

  static Block* create(std::size_t capacity);  // with one reference
  void ref() { ++refs_; }
  void unref();
  bool shared() const { return refs_ > 1; }
  char* data() { return reinterpret_cast<char*>(this + 1); }
  std::size_t capacity() const { return capacity_; }

 private:
  friend class BlockPool;
  explicit Block(std::size_t capacity) : capacity_(static_cast<std::uint32_t>(capacity)) {}
  std::uint32_t refs_ = 1;
  std::uint32_t capacity_;
};

// Owning pointer to a Block.
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Block* adopted) : block_(adopted) {}
  BlockRef(const BlockRef& other) : block_(other.block_) {
    if (block_ != nullptr) block_->ref();
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr) block_->unref();
  }
  explicit operator bool() const { return block_ != nullptr; }
  Block* operator->() const { return block_; }
  Block* get() const { return block_; }

 private:
  Block* block_ = nullptr;
};

struct Slice {
  BlockRef block;
  char* data = nullptr;
  std::size_t size = 0;

  std::string_view view() const { return {data, size}; }
};

class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept
      : slices_(std::exchange(other.slices_, {})),
        head_(std::exchange(other.head_, 0)),
        size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    slices_.swap(other.slices_);  // `other` keeps the memory of the list for its next bytes
    head_ = std::exchange(other.head_, 0);
    size_ = std::exchange(other.size_, 0);
    other.slices_.clear();
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  [[clang::reinitializes]] void clear();

  void append(std::string_view bytes);  // copies
  void append(Slice slice);             // shares; joins a slice that continues the last one
  void append(Buffer&& other);          // moves all slices; `other` is empty after
  void prepend(std::string_view bytes);
  void drain(std::size_t count);  // drops the first `count` bytes (all when fewer)

  // Moves the first `count` bytes (all when fewer) into a buffer of their own.
  Buffer split(std::size_t count);
  void split_to(std::size_t count, Buffer& out);  // the same, appended to `out`

  // Replaces `count` bytes at `start` (both clamped to the size) by `bytes`; inserts for count 0.
  void replace(std::size_t start, std::size_t count, std::string_view bytes);

  // Copies up to `count` bytes from `start` to `out`; returns how many.
  std::size_t copy_to(std::size_t start, std::size_t count, char* out) const;
  std::string to_string() const;

  // The slices as an I/O vector: fills at most out.size() entries, returns how many.
  std::size_t to_iovec(std::span<iovec> out) const;
  std::span<const Slice> slices() const { return {slices_.data() + head_, slices_.size() - head_}; }

 private:
  void drop_first();

  std::vector<Slice> slices_;
  std::size_t head_ = 0;  // slices before it are drained
  std::size_t size_ = 0;
};

}  // namespace heddle::http
