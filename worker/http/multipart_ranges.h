// Multipart ranges: several ranges of a file as one multipart/byteranges body (RFC 9110 section 14.6).
//
// Owner      The exchange, as its attachment; it holds the open file.
// Limits     One piece of kPieceBytes at a time, and only while the connection has room.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "worker/http/byte_ranges.h"
#include "worker/http/exchange.h"

namespace beamgate::http {

class MultipartRanges final : public Attachment {
 public:
  static constexpr size_t kPieceBytes = 32 << 10;

  MultipartRanges(Exchanges& exchanges, ExchangeId id, UniqueFd file, std::vector<ByteRange> ranges,
                  std::string_view content_type, uint64_t file_bytes);

  std::string content_type() const { return "multipart/byteranges; boundary=" + boundary_; }
  uint64_t content_length() const;

  // Begins, and goes on whenever there is room.
  void on_writable() override;

 private:
  std::string part_head(size_t part) const;
  std::string closing() const { return "\r\n--" + boundary_ + "--\r\n"; }
  bool write_piece(Exchange& exchange);

  Exchanges& exchanges_;
  const ExchangeId id_;
  const UniqueFd file_;
  const std::vector<ByteRange> ranges_;
  const std::string content_type_;
  const uint64_t file_bytes_;
  const std::string boundary_;
  size_t part_ = 0;
  uint64_t part_sent_ = 0;
  bool part_begun_ = false;
};

}  // namespace beamgate::http
