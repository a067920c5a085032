// Doubts: what loads, and can hardly be meant so: warnings, and what names a location that there is not.
#pragma once

#include "common/config/loader.h"

namespace beamgate::config {

// At the end of a location's block.
void doubt_location(Setting& setting, const Location& location);

// At the end of a server's block: error_page and try_files lead to named locations of this server.
void check_named_locations(Setting& setting, const Server& server);

// Once everything is known.
void doubt_whole(Loader& loader);

}  // namespace beamgate::config
