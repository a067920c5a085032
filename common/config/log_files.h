// Log files: which files requests are logged to, wherever a block names them.
#pragma once

#include <set>
#include <string>

#include "common/config/model.h"

namespace beamgate::config {

// Without what goes to a syslog server.
std::set<std::string> access_log_files(const Config& config);

}  // namespace beamgate::config
