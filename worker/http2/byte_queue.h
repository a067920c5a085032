// Byte queue: bytes that come in at one end and leave at the other, of a stream that is mostly empty.
//
// What comes in pieces is kept in pieces: a large one is not moved as the queue grows.
// Owner      Stream, one for each direction.
// Thread     Worker loop thread only.
// Limits     Its owner's, who asks for size().
// Memory     No bytes while it is empty; kPieceBytes, about, more than what it holds.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace beamgate::http2 {

class ByteQueue {
 public:
  static constexpr size_t kPieceBytes = 16 << 10;  // Up to here a piece takes in what comes next.

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  void add(std::string_view bytes);
  // The first of what is there: all of it, or one piece.
  std::string_view front() const;
  void took(size_t bytes);  // REQUIRES: bytes <= front().size()
  void clear();

 private:
  std::vector<std::string> pieces_;
  size_t first_ = 0;  // Of pieces_; those before it have left.
  size_t at_ = 0;     // Of the first piece, what has left.
  size_t size_ = 0;
};

}  // namespace beamgate::http2
