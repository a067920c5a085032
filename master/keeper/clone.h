// Clone: fork() that shares the descriptor table with the child.
#pragma once

#include <sys/types.h>

#include <string>

namespace beamgate::master {

// 0 in the child, -1 when it failed.  Nothing that fork() would run is run: the process must have one thread and
// must not have begun to use libraries that care.
pid_t clone_sharing_descriptors();

// Why this system can't have keepers; empty when it can.  Tries it with a child that ends at once.
std::string why_no_keeper();

}  // namespace beamgate::master
