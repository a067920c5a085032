// Image: which binary the master runs, and how it executes another one in its place.
//
// The process stays: its id, its children, its descriptors.  What the next image has to know is a HandoverState in a
// file in memory, named by its number in BEAMGATE_STATE; the binary it can give the place back to stands open in
// BEAMGATE_OLD_BINARY; one that comes back finds the reason in BEAMGATE_CAME_BACK.
// Signals  All are blocked over the exec, so that none is lost and none kills who has no handler yet.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "master/handover_state.h"

namespace beamgate::master {

// What another binary must print for --handover-version to be able to read our state and to speak with our workers.
std::string handover_version_line();

struct Program {
  std::string path;                    // Absolute; what stands there may be another binary by now.
  std::vector<std::string> arguments;  // As it was started, its name included.
};
// REQUIRES: nothing has changed argv or the working directory.
Program this_program(int argc, const char* const* argv);

struct Inheritance {
  UniqueFd state;
  UniqueFd old_binary;  // Invalid for one that comes back.
  std::optional<std::string> came_back;
};
// What an image before this one left; nothing for a first one.  The environment forgets it.
std::optional<Inheritance> take_inheritance();

// Executes what is open there instead of what stands at the path.
std::string path_of_open(const UniqueFd& binary);

// Comes back only with why it failed; then nothing has changed.
// descriptors: what the state names.
Error execute(const std::string& path, std::vector<std::string> arguments, const Inheritance& inheritance,
              const std::vector<int>& descriptors);

// The --handover-rehearsal: reads the state as the next image would.  The exit status.
int rehearse();

}  // namespace beamgate::master
