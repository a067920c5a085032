// Fault: lets a test make a worker die in a chosen way while it serves a chosen message.
//
// Only in a build with the CMake option BEAMGATE_FAULTS, which no release may have; otherwise obey() is nothing.
// Where it listens: a message to `websocket echo`, and a publication on its way to subscribers.
// Errors     It is one.
#pragma once

#include <string_view>

namespace beamgate::fault {

#ifdef BEAMGATE_FAULTS
// "fault:" and one of segv, abort, stack, throw, loop, double_free, exit: does that.  Anything else: returns.
void obey(std::string_view message);
#else
inline void obey(std::string_view) {}
#endif

}  // namespace beamgate::fault
