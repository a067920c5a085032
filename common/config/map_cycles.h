// Map cycles: maps whose values depend on themselves, which could never be looked up.
#pragma once

#include "common/config/loader.h"

namespace beamgate::config {

void refuse_map_cycles(Loader& loader);

}  // namespace beamgate::config
