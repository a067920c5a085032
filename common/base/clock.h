// Clocks: monotonic for deadlines, wall for people and protocols.
//
// Deadlines are absolute CLOCK_MONOTONIC milliseconds, valid in every process of this machine, so that a
// deadline may travel with its connection.
#pragma once

#include <cstdint>
#include <string>

namespace beamgate {

int64_t monotonic_ms();
int64_t monotonic_us();
int64_t wall_ms();  // Unix time in milliseconds.

// RFC 3339 in UTC with milliseconds: "2026-11-22T09:48:00.123Z".
std::string format_rfc3339(int64_t unix_ms);

// RFC 9110 section 5.6.7 (IMF-fixdate): "Sun, 22 Nov 2026 09:48:00 GMT".
std::string format_http_date(int64_t unix_seconds);

// The reverse; -1 when the text is not an IMF-fixdate.
int64_t parse_http_date(const std::string& text);

}  // namespace beamgate
