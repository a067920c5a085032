// Restart settings: what a configuration says that a running gateway does not take from a reload.
//
// Which directives these are is said by their rows (Applies::Restart), and by nothing else.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace beamgate::config {

// By name, as the dump prints the arguments; where nothing is said, the row's default.
using RestartSettings = std::map<std::string_view, std::string>;

// text: Config::dump.
RestartSettings restart_settings(std::string_view text);

}  // namespace beamgate::config
