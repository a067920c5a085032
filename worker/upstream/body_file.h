// Body file: what of a request body doesn't fit into memory, in a file without a name.
//
// Owner      RequestBuffer.  The file goes with it, however the process ends.
// Blocking   Writes to and reads from the page cache; a disk that is slower than that holds up the loop, as in
//            nginx without aio.
// Limits     One piece in memory; client_max_body_size bounds the file.
// Errors     System: the directory can't be written, or the disk is full or fails.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/base/unique_fd.h"

namespace beamgate::upstream {

class BodyFile {
 public:
  static constexpr size_t kPieceBytes = 64 << 10;

  static Result<std::unique_ptr<BodyFile>> create(const std::string& directory);

  Result<void> append(std::string_view bytes);
  uint64_t size() const { return size_; }

  // Reading: from the start after rewind(), piece by piece; an empty piece is the end.
  Result<void> rewind();
  std::string_view piece() const { return std::string_view(piece_).substr(taken_); }
  Result<void> took(size_t bytes);  // REQUIRES: bytes <= piece().size().

 private:
  explicit BodyFile(UniqueFd file) : file_(std::move(file)) {}
  Result<void> load();

  UniqueFd file_;
  uint64_t size_ = 0;
  uint64_t loaded_ = 0;  // Up to where piece_ goes.
  std::string piece_;
  size_t taken_ = 0;
};

}  // namespace beamgate::upstream
