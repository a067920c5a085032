// System calls: which of them a worker may make, as a seccomp filter (seccomp(2), libseccomp).
//
// Kinds      Allowed: what the worker, libuv, libcurl, c-ares, OpenSSL and the C library make once it has begun, in the
//            variants of other versions of them, too.  Hostile: what only an attacker makes.  All others are refused.
// Arguments  Memory is never writable and executable, nor made executable later; sockets are those of IP, of Unix, and
//            the kernel's routing socket, which getaddrinfo(3) asks for addresses; signals go to ourselves only; a
//            clone is a thread.
// Sanitizers In their builds, what they need at exit and for reports is allowed, too.
#pragma once

#include "common/base/result.h"

namespace beamgate::sandbox {

// The highest number of the list's time (Linux 5.17); whoever makes a newer one has to live without it.
constexpr int kNewestKnown = 450;

// Safe for signals.
bool is_hostile(int system_call);

// For this thread and those that it starts.  REQUIRES: no new privileges; handle_refusals().
Result<void> filter_system_calls();

}  // namespace beamgate::sandbox
