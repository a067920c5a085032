// Notify: tells systemd how the service is doing (sd_notify(3) protocol over NOTIFY_SOCKET).
//
// Without NOTIFY_SOCKET nothing happens; errors are ignored, since nobody could act on them.
#pragma once

#include <string_view>

namespace beamgate::master {

// state: newline-separated assignments, such as "READY=1\nMAINPID=17".
void notify_systemd(std::string_view state);

}  // namespace beamgate::master
