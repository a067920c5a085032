#include "worker/http/multipart_ranges.h"

#include <unistd.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/crypto/crypto.h"

namespace beamgate::http {
namespace {

std::string random_boundary() {
  char bytes[16];
  crypto::fill_random(bytes, sizeof bytes);
  return to_hex({bytes, sizeof bytes});
}

}  // namespace

MultipartRanges::MultipartRanges(Exchanges& exchanges, ExchangeId id, UniqueFd file,
                                 std::vector<ByteRange> ranges, std::string_view content_type,
                                 uint64_t file_bytes)
    : exchanges_(exchanges),
      id_(id),
      file_(std::move(file)),
      ranges_(std::move(ranges)),
      content_type_(content_type),
      file_bytes_(file_bytes),
      boundary_(random_boundary()) {}

std::string MultipartRanges::part_head(size_t part) const {
  const ByteRange& range = ranges_[part];
  return "\r\n--" + boundary_ + "\r\nContent-Type: " + content_type_ + "\r\nContent-Range: bytes " +
         std::to_string(range.offset) + "-" + std::to_string(range.offset + range.count - 1) + "/" +
         std::to_string(file_bytes_) + "\r\n\r\n";
}

uint64_t MultipartRanges::content_length() const {
  uint64_t length = closing().size();
  for (size_t part = 0; part < ranges_.size(); ++part) length += part_head(part).size() + ranges_[part].count;
  return length;
}

void MultipartRanges::on_writable() {
  // A write may end the exchange, and with it this attachment's purpose.
  while (Exchange* exchange = exchanges_.find(id_)) {
    if (part_ == ranges_.size()) {
      static_cast<void>(exchange->write(closing()));
      if ((exchange = exchanges_.find(id_)) != nullptr) exchange->finish();
      return;
    }
    if (!write_piece(*exchange)) return;
  }
}

// False: there is no room for more, or no more exchange.
bool MultipartRanges::write_piece(Exchange& exchange) {
  if (!part_begun_) {
    part_begun_ = true;
    part_sent_ = 0;
    return exchange.write(part_head(part_));
  }
  const ByteRange& range = ranges_[part_];
  char piece[kPieceBytes];
  const size_t wanted = static_cast<size_t>(std::min<uint64_t>(range.count - part_sent_, sizeof piece));
  const ssize_t got = pread(file_.get(), piece, wanted, static_cast<off_t>(range.offset + part_sent_));
  if (got <= 0) {
    exchange.abort();  // The file has shrunk since its length was promised.
    return false;
  }
  part_sent_ += static_cast<uint64_t>(got);
  if (part_sent_ == range.count) {
    ++part_;
    part_begun_ = false;
  }
  return exchange.write({piece, static_cast<size_t>(got)});
}

}  // namespace beamgate::http
