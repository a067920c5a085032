// CRC-32C (Castagnoli), as in RFC 3720 appendix B.4.
#pragma once

#include <cstdint>
#include <string_view>

namespace beamgate {

// Of `bytes` behind others whose CRC is `before`.
uint32_t crc32c(std::string_view bytes, uint32_t before = 0);

}  // namespace beamgate
