// Log path: the first word of error_log and access_log, a file or a syslog server.
#pragma once

#include <string>

#include "common/config/setting.h"

namespace beamgate::config {

// Argument 0: an absolute path, or "syslog:..." with a numeric address; the dump then says so as well.  False after
// it has reported an error.
bool read_log_path(Setting& setting, std::string& out);

}  // namespace beamgate::config
