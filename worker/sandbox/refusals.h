// Refusals: what becomes of system calls that the filter lets nobody make (system_calls.h).
//
// The kernel skips the call and raises SIGSYS in the thread; the handler lets it fail with EPERM, or with ENOSYS when it
// is newer than the list, so that a library falls back to what it did before there was such a call.  A call that only
// somebody makes who has taken the worker over ends the worker as a crash does: the connection that was being served is
// to blame for it (worker/life_line.h).
// Thread     Any; the handler is safe for signals.  A thread that has blocked SIGSYS is killed, with its process.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/result.h"

namespace beamgate::sandbox {

// The handler, which the filter then protects from being replaced.
Result<void> handle_refusals();

struct Refusals {
  uint64_t calls = 0;        // Since the last time.
  std::vector<int> numbers;  // Of calls that were refused for the first time.
};
Refusals take_refusals();

// "execve"; "?" when it has none here.
std::string name_of(int system_call);

}  // namespace beamgate::sandbox
