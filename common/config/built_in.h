// Built-in texts: the configuration of a run without one, and the media types.
//
// Both are conf/beamgate.conf and conf/mime.types as they were when this binary was built.
#pragma once

#include <string_view>

namespace beamgate::config {

std::string_view built_in_configuration();
std::string_view built_in_types();

}  // namespace beamgate::config
