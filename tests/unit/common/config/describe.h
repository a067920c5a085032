// Describe: every field of a Config as text, so that two of them can be compared and a difference be read.
#pragma once

#include <string>

#include "common/config/model.h"

namespace beamgate::config {

// Without dump, which is a text about the rest.
std::string describe(const Config& config);
std::string describe(const Location& location);

}  // namespace beamgate::config
