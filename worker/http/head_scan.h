// Head scan: finds the end of a request head in the raw bytes, before anything is parsed.
//
// Looks at each byte once, however the head is cut by the network, and enforces the limits and the line
// discipline while it does: lines end with CRLF only, none is folded, none holds a bare CR or a NUL.  What
// passes here can't look different to another parser (RFC 9112 sections 2.2, 5.2 and 11.2).
//
// Owner      HttpLayer, for a head that has not come whole; it can always be made again from the raw bytes.
// Limits     HeadLimits; the action is the status in Progress::status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace beamgate::http {

struct HeadLimits {
  size_t request_line_bytes_max = 8 << 10;  // Without CRLF; above it 414.
  size_t field_line_bytes_max = 8 << 10;    // Above it 431, as the two below.
  size_t head_bytes_max = 32 << 10;         // Request line, fields and every CRLF.
  uint32_t fields_max = 100;
};

class HeadScan {
 public:
  struct Progress {
    enum class Kind : uint8_t { NeedMore, Complete, Bad };
    Kind kind = Kind::NeedMore;
    uint16_t status = 0;    // Bad: what to answer.
    size_t head_start = 0;  // Complete: an empty line before the request line is not part of the head ...
    size_t head_end = 0;    // ... and the one that ends it is.
    uint32_t fields = 0;    // Complete: field lines.
  };

  // `bytes` are everything from the start of the head; what was there before has not changed.
  Progress advance(std::string_view bytes, const HeadLimits& limits);

 private:
  Progress end_line(std::string_view bytes, size_t line_end, const HeadLimits& limits);
  uint16_t oversize(size_t line_bytes, size_t head_bytes, const HeadLimits& limits) const;

  size_t scanned_ = 0;
  size_t head_start_ = 0;
  size_t line_start_ = 0;
  uint32_t lines_ = 0;  // Complete ones, the request line being the first.
};

}  // namespace beamgate::http
