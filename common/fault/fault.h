// Fault: lets a test make a worker die in a chosen way while it serves a chosen message.
//
// Only in a build with the CMake option BEAMGATE_FAULTS, which no release may have; otherwise obey() is nothing.
// Where it listens: a message to `websocket echo`, and a publication on its way to subscribers.
// Points are places in the code where a process may die whoever it serves.  What happens at one stands in a file of
// its name, in a directory beside the binary that the process runs: beamgate.faults/source-offered for beamgate.  A
// binary that has been replaced by another finds none, so that either of two in an upgrade has its own faults.
// It also stretches the moments in which a death is most awkward, between a system call that has moved a client's
// bytes and the step that records it, so that kills at random times hit them.
// Errors     It is one.
#pragma once

#include <string_view>

namespace beamgate::fault {

#ifdef BEAMGATE_FAULTS
// "fault:" and one of segv, abort, stack, throw, loop, double_free, exit, kill, or of exec, mkdir, which a
// sandbox refuses: does that.  Anything else: returns.
void obey(std::string_view message);
// The file's text is one of the same; a number behind it: when this process is here for the N-th time; "once" behind
// that: the first process to get there removes the file, and the next goes on.
void point(const char* name);
// Spins for as many microseconds as BEAMGATE_LINGER_US in the environment says.
void linger();
#else
inline void obey(std::string_view) {}
inline void point(const char*) {}
inline void linger() {}
#endif

}  // namespace beamgate::fault
