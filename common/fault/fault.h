// Fault: lets a test make a worker die in a chosen way while it serves a chosen message.
//
// Only in a build with the CMake option BEAMGATE_FAULTS, which no release may have; otherwise obey() is nothing.
// Where it listens: a message to `websocket echo`, and a publication on its way to subscribers.
// It also stretches the moments in which a death is most awkward, between a system call that has moved a client's
// bytes and the step that records it, so that kills at random times hit them.
// Errors     It is one.
#pragma once

#include <string_view>

namespace beamgate::fault {

#ifdef BEAMGATE_FAULTS
// "fault:" and one of segv, abort, stack, throw, loop, double_free, exit: does that.  Anything else: returns.
void obey(std::string_view message);
// Spins for as many microseconds as BEAMGATE_LINGER_US in the environment says.
void linger();
#else
inline void obey(std::string_view) {}
inline void linger() {}
#endif

}  // namespace beamgate::fault
