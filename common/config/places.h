// Places: where a running gateway can be found, by a configuration that may be broken.
//
// Source   The directives control and pid outside of all blocks, as far as the files can be read; where they say nothing,
//          the places that are usual: in the prefix, and in /run where no other configuration is meant.
// Errors   None: a text is empty when the configuration says "off", or there is nothing at any usual place.
#pragma once

#include <string>
#include <vector>

#include "common/config/load.h"

namespace beamgate::config {

struct Places {
  std::string control_path;
  std::string pid_path;
};

Places find_places(const LoadOptions& options);

// Where a control socket and a pid file of a gateway that these options mean usually are, in the order to look.
std::vector<std::string> usual_control_paths(const LoadOptions& options);
std::vector<std::string> usual_pid_paths(const LoadOptions& options);
std::string first_that_exists(const std::vector<std::string>& paths);  // Empty: none does.

}  // namespace beamgate::config
