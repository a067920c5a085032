#include "worker/http/head_scan.h"

#include <cstring>

#include "worker/http/grammar.h"

namespace beamgate::http {
namespace {

using Progress = HeadScan::Progress;

Progress bad(uint16_t status) {
  return Progress{Progress::Kind::Bad, status};
}

}  // namespace

Progress HeadScan::advance(std::string_view bytes, const HeadLimits& limits) {
  // What can't begin a method (a TLS hello on a plain port, say) is answered before a line of it is whole.
  if (!bytes.empty() && scanned_ == 0 && bytes[0] != '\r' && !is_token_char(bytes[0])) return bad(400);
  while (scanned_ < bytes.size()) {
    const void* found = memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_);
    const size_t line_end =
        found == nullptr ? bytes.size() : static_cast<size_t>(static_cast<const char*>(found) - bytes.data());
    const uint16_t too_much = oversize(line_end - line_start_, line_end - head_start_, limits);
    if (too_much != 0) return bad(too_much);
    if (found == nullptr) {
      scanned_ = bytes.size();
      break;
    }
    const Progress progress = end_line(bytes, line_end, limits);
    if (progress.kind != Progress::Kind::NeedMore) return progress;
    scanned_ = line_start_ = line_end + 1;
  }
  return Progress{};
}

// The line from line_start_ to the LF at line_end.
Progress HeadScan::end_line(std::string_view bytes, size_t line_end, const HeadLimits& limits) {
  if (line_end == line_start_ || bytes[line_end - 1] != '\r') return bad(400);
  const std::string_view line = bytes.substr(line_start_, line_end - 1 - line_start_);
  if (line.empty()) {
    if (lines_ > 0) return Progress{Progress::Kind::Complete, 0, head_start_, line_end + 1, lines_ - 1};
    // One empty line before a request is forgiven (RFC 9112 section 2.2), a second one is not.
    if (head_start_ > 0) return bad(400);
    head_start_ = line_end + 1;
    return Progress{};
  }
  if (line[0] == ' ' || line[0] == '\t') return bad(400);
  if (line.find('\r') != line.npos || line.find('\0') != line.npos) return bad(400);
  if (lines_++ > limits.fields_max) return bad(431);
  return Progress{};
}

uint16_t HeadScan::oversize(size_t line_bytes, size_t head_bytes, const HeadLimits& limits) const {
  // The CR may already be counted, so one byte more is let through.
  if (lines_ == 0 && line_bytes > limits.request_line_bytes_max + 1) return 414;
  if (lines_ > 0 && line_bytes > limits.field_line_bytes_max + 1) return 431;
  return head_bytes + 1 > limits.head_bytes_max ? 431 : 0;
}

}  // namespace beamgate::http
