#include "worker/http2/byte_queue.h"

#include "common/base/assert.h"

namespace beamgate::http2 {

void ByteQueue::add(std::string_view bytes) {
  if (bytes.empty()) return;
  size_ += bytes.size();
  if (!pieces_.empty() && pieces_.back().size() + bytes.size() <= kPieceBytes) {
    pieces_.back() += bytes;
  } else {
    pieces_.emplace_back(bytes);
  }
}

std::string_view ByteQueue::front() const {
  if (empty()) return "";
  return std::string_view(pieces_[first_]).substr(at_);
}

void ByteQueue::took(size_t bytes) {
  BG_ASSERT(bytes <= front().size());
  size_ -= bytes;
  at_ += bytes;
  if (size_ == 0) return clear();
  if (at_ < pieces_[first_].size()) return;
  std::string().swap(pieces_[first_++]);
  at_ = 0;
  constexpr size_t kEmptyMax = 16;
  if (first_ < kEmptyMax || first_ < pieces_.size() / 2) return;
  pieces_.erase(pieces_.begin(), pieces_.begin() + static_cast<ptrdiff_t>(first_));
  first_ = 0;
}

void ByteQueue::clear() {
  pieces_.clear();
  first_ = at_ = size_ = 0;
}

}  // namespace beamgate::http2
