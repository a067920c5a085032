// Libraries: what this process runs with, for whoever reports a bug.
#pragma once

#include <string>

namespace beamgate::hook {

// libcurl's own line: itself and what it uses, among them the OpenSSL, nghttp2 and zlib that all parts use.
std::string library_versions();

}  // namespace beamgate::hook
