// Request parser: a complete head into a Request, through llhttp in its strict mode and our own rules on top.
//
// llhttp reads the grammar; what decides where a message ends and whom it is for (RFC 9112 sections 3.2 and
// 6, RFC 9110 section 7.2) is checked here again, so that no laxness of the library can open a gap between
// what we and a backend take for the request.
//
// Errors   A Verdict with the status to answer; the connection must be closed after it, since nobody knows
//          where the next request would begin.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker/http/exchange.h"

namespace beamgate::http {

struct Verdict {
  uint16_t status = 0;      // 0: the request is fine.
  const char* reason = "";  // For the log.

  bool good() const { return status == 0; }
};

// `head` is what HeadScan found, including the final empty line, with its count of field lines; `request` is
// reset first and borrows from it.  Of a request in absolute form, Host is then the target's
// authority.
Verdict parse_request_head(std::string_view head, uint32_t field_lines, Request& request);

// The first line of a head that is refused, as far as it has come: without what ends it, kRefusedLineBytesMax at most.
inline constexpr size_t kRefusedLineBytesMax = 2 << 10;  // Four times as much, escaped, is a whole line of the access log.
std::string_view first_line(std::string_view head);

// Empties a request for its next use; keeps its buffers.
void reset(Request& request);

}  // namespace beamgate::http
