// Origins: lists of web pages' origins, as several directives name them.
#pragma once

#include <string>
#include <vector>

#include "common/config/setting.h"

namespace beamgate::config {

// "any", which is the empty list, or origins: scheme://host[:port], the host with "*." before it for subdomains, or
// "null".  Anything else fails.
void read_origins(Setting& setting, std::vector<std::string>& origins);

}  // namespace beamgate::config
