// Sandbox: what a worker gives up of the kernel, so that whoever takes it over can do little with it.
//
// Gone       Capabilities.  Other processes' memory and the execution of files (Landlock, landlock(7)).  System calls
//            that are not on the list of system_calls.h (seccomp(2)); refusals.h says what becomes of them.
// Inherited  By every thread that is started later; never given back.
// Thread     One, before there are others.
// Errors     What the kernel doesn't have, or refuses to give up, is done without and told.
// Platforms  The filter is for x86-64 and arm64.
#pragma once

#include <string>
#include <vector>

namespace beamgate::sandbox {

// What could not be had, in words; empty when all is in force.
std::vector<std::string> enter();

}  // namespace beamgate::sandbox
