// Built-in texts: the configuration of a run without one, and the files that are usually included.
//
// They are those of conf/ as they were when this binary was built.
#pragma once

#include <string_view>

namespace beamgate::config {

std::string_view built_in_configuration();
std::string_view built_in_types();

// What "include mime.types", "include fastcgi_params" and "include fastcgi.conf" read where there is no such file;
// empty for other names.
std::string_view built_in_file(std::string_view name);

}  // namespace beamgate::config
