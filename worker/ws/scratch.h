// Scratch: a buffer that grows while it is filled and gives back what was unusually much.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace beamgate::ws {

class Scratch {
 public:
  static constexpr size_t kKeptBytes = 256 << 10;

  // Empty again; a buffer above kKeptBytes is let go.
  void clear() {
    size_ = 0;
    if (capacity_ <= kKeptBytes) return;
    bytes_.reset();
    capacity_ = 0;
  }
  // Room for `bytes` in all; what is there stays.
  void reserve(size_t bytes) {
    if (bytes <= capacity_) return;
    auto bigger = std::make_unique_for_overwrite<char[]>(bytes);
    if (size_ > 0) memcpy(bigger.get(), bytes_.get(), size_);
    bytes_ = std::move(bigger);
    capacity_ = bytes;
  }
  std::span<char> room() { return {bytes_.get() + size_, capacity_ - size_}; }
  void fill(size_t bytes) { size_ += bytes; }
  void drop_last(size_t bytes) { size_ -= bytes; }
  std::span<char> bytes() { return {bytes_.get(), size_}; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }

 private:
  std::unique_ptr<char[]> bytes_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace beamgate::ws
