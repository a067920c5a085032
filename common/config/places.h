// Places: where a running gateway can be found, by a configuration that may be broken.
//
// Source   The directives control and pid outside of all blocks, as far as the files can be read; where they say nothing,
//          the places that are usual: in the prefix, and in /run where no other configuration is meant.
// Errors   None: a text is empty when the configuration says "off", or there is nothing at any usual place.
#pragma once

#include <string>

#include "common/config/load.h"

namespace beamgate::config {

struct Places {
  std::string control_path;
  std::string pid_path;
};

Places find_places(const LoadOptions& options);

}  // namespace beamgate::config
