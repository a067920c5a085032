// BG_ASSERT: a broken invariant ends the process, in every build.
//
// Use it for what the code itself guarantees; peer input, files and the network are handled with Result.
#pragma once

namespace beamgate {

// Writes "file:line: assertion failed: text" to stderr and aborts.  Async-signal-safe.
[[noreturn]] void assertion_failed(const char* file, int line, const char* text) noexcept;

}  // namespace beamgate

#define BG_ASSERT(condition)                                                        \
  (static_cast<bool>(condition) ? static_cast<void>(0)                              \
                                : ::beamgate::assertion_failed(__FILE__, __LINE__, #condition))
