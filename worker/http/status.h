// Status codes: their reason phrases and what they imply for framing (RFC 9110 section 15).
#pragma once

#include <cstdint>
#include <string_view>

namespace beamgate::http {

// "Not Found"; "Unknown" for a code without a registered phrase.
std::string_view reason_phrase(uint16_t status);

// 1xx, 204 and 304 never carry a body, whatever the method (RFC 9112 section 6.3).
inline bool status_has_body(uint16_t status) {
  return status >= 200 && status != 204 && status != 304;
}

}  // namespace beamgate::http
